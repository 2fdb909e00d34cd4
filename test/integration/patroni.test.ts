// The members that a REST API lists, on real servers: one named host and a plain role, which sees no addresses of replicas, are enough.

import assert from 'node:assert/strict'
import { patroni } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { type PatroniApi, startPatroniApi } from '../support/patroni-api.js'
import { endPools, eventually, keyOf, poolOn } from '../support/pools.js'

describe('members that Patroni lists', () => {
  let cluster: Cluster
  let api: PatroniApi
  before(async () => {
    cluster = await startCluster({ replicas: 2 })
    await cluster.streaming(0, 2)
    const members = cluster.nodes.map(({ name, host, port, index }) => ({
      ...{ name, host, port, role: index === 0 ? 'leader' : 'replica', timeline: 1 },
      tags: index === 2 ? { noloadbalance: true } : {},
    }))
    api = await startPatroniApi(members)
  })
  afterEach(endPools)
  after(async () => {
    await api?.close()
    await cluster?.destroy()
  })

  it('are used, with what their tags say, and onDiscover keeps one out', async () => {
    const pool = poolOn(cluster, { discovery: patroni({ fromHosts: true, port: api.port }) }, 'app', [0])
    await pool.ready({ replicas: 2 })
    const nodes = pool.topology().nodes.map(({ key, state, foundBy, weight }) => `${key} ${state} ${foundBy} ${weight}`)
    assert.deepEqual(
      nodes.sort(),
      [
        `${keyOf(cluster, 0)} primary configured 1`,
        `${keyOf(cluster, 1)} replica patroni 1`,
        `${keyOf(cluster, 2)} replica patroni 0`,
      ].sort()
    )
    const unwanted = cluster.node(2).port
    const asked = new Set<number>()
    const strict = poolOn(
      cluster,
      { discovery: patroni({ urls: [api.url] }), onDiscover: ({ port }) => asked.add(port) && port !== unwanted },
      'app',
      [0]
    )
    await strict.ready({ replicas: 1 })
    assert.equal(strict.topology().nodes.length, 2)
    assert.ok(!asked.has(cluster.node(0).port), 'what is named is not asked about')
    const named = poolOn(cluster, { discovery: patroni({ urls: [api.url] }) })
    await named.ready({ replicas: 2 })
    await eventually('a tag counts for what is named', () =>
      named
        .topology()
        .nodes.some(({ port, weight, foundBy }) => port === unwanted && weight === 0 && foundBy === 'configured')
    )
  })

  it('its leader decides nothing: a list that calls a replica the leader changes no role, and its silence neither', async () => {
    const pool = poolOn(cluster, { discovery: patroni({ urls: [api.url] }) }, 'app', [0])
    await pool.ready({ replicas: 2 })
    const { members } = api
    try {
      api.members = members.map((member, i) => ({ ...member, role: i === 1 ? 'leader' : 'replica', timeline: 9 }))
      const asked = api.asked.length
      await eventually('it was asked again', () => api.asked.length > asked + 1)
      assert.equal(pool.topology().primary, keyOf(cluster, 0))
      api.answer = (_, response) => response.destroy()
      await eventually('its failure is noticed', () => 'patroni' in pool.topology().blind)
      assert.equal(pool.topology().nodes.length, 3)
      assert.equal((await pool.query('select 1 as n')).rows[0].n, 1)
    } finally {
      api.members = members
      api.answer = null
    }
  })
})
