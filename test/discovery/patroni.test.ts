// Patroni's REST API as a source of addresses: what counts of its answers, and that its news have servers looked at.

import assert from 'node:assert/strict'
import type { Discovery } from '../../src/discovery/discovery.js'
import { membersIn, PatroniMembers, urlsOf } from '../../src/discovery/patroni.js'
import { type PatroniApi, startPatroniApi } from '../support/patroni-api.js'
import { literal, scripted, server, WRITE } from '../support/scripted-herd.js'

const MEMBERS = [
  { name: 'p0', role: 'leader', state: 'running', host: '10.0.0.1', port: 5432, timeline: 3 },
  { name: 'p1', role: 'replica', state: 'streaming', host: 'pg-1', port: 5433, timeline: 3 },
  { name: 'p2', role: 'replica', host: '10.0.0.3', port: 5432, tags: { noloadbalance: true, nofailover: true } },
  { name: 'p3', role: 'replica', state: 'creating replica' },
  { name: 'p4', host: 5, port: '5432' },
  null,
]
const at = (host: string, port: number, more: object = {}) => ({
  ...{ host, port, servername: null, origin: 'discovered' },
  ...more,
})
const ADDRESSES = [at('10.0.0.1', 5432), at('pg-1', 5433), at('10.0.0.3', 5432, { weight: 0 })]

describe('patroni: the members', () => {
  let api: PatroniApi
  beforeEach(async () => {
    api = await startPatroniApi(MEMBERS as PatroniApi['members'])
  })
  afterEach(() => api.close())

  it('are discovered addresses; one that is not to be read from has weight 0', async () => {
    const source = new PatroniMembers([`${api.url}/`])
    assert.equal(source.news, null)
    assert.deepEqual(await source.discover(), ADDRESSES)
    assert.equal(source.news, '10.0.0.1:5432 3')
    assert.deepEqual(api.asked, ['/cluster'])
  })

  it('are told by any of the servers: the first answer counts, and the others are waited for no more', async () => {
    const silent = await startPatroniApi()
    silent.answer = () => {}
    try {
      const source = new PatroniMembers(['http://127.0.0.1:1', silent.url, api.url])
      assert.deepEqual(await source.discover(), ADDRESSES)
    } finally {
      await silent.close()
    }
  })

  it('user and password of the URL are those of basic authentication', async () => {
    await new PatroniMembers([api.url.replace('//', '//u:p@')]).discover()
    assert.deepEqual(api.asked, [`/cluster Basic ${Buffer.from('u:p').toString('base64')}`])
  })

  const ANSWERS: readonly (readonly [string, number, string, RegExp])[] = [
    ['a failure', 503, '{"members": []}', /status 503/],
    ['what is no JSON', 200, '<html>', /JSON/],
    ['what has no members', 200, '{"members": 5}', /without a list of members/],
    ['nothing', 200, '', /JSON/],
    ['too much', 200, 'x'.repeat(2_000_000), /too long|aborted/],
  ]
  for (const [what, status, body, said] of ANSWERS) {
    it(`${what} is no answer, and says nothing of the URL`, async () => {
      api.answer = (_, response) => {
        response.statusCode = status
        response.end(body)
      }
      const asked = new PatroniMembers([api.url.replace('//', '//u:secret@')]).discover()
      await assert.rejects(asked, (error: Error) => said.test(error.message) && !error.message.includes('secret'))
    })
  }

  it('a question that is under way ends with the source', async () => {
    api.answer = () => {}
    const source = new PatroniMembers([api.url])
    const asked = assert.rejects(source.discover(), { name: 'AbortError' })
    source.stop()
    await asked
  })

  it('the hosts that are named have it at its port', () => {
    const urls = ['https://pg.test:8008']
    assert.deepEqual(urlsOf({ urls }, ['a']), urls)
    assert.deepEqual(urlsOf({ urls, fromHosts: true, port: 9 }, ['a', 'fd00::1', '/run']), [
      ...urls,
      'http://a:9',
      'http://[fd00::1]:9',
    ])
    assert.deepEqual(urlsOf({ fromHosts: true }, ['a']), ['http://a:8008'])
  })

  it('a list that is none is refused', () => {
    for (const body of [null, 5, [], {}]) assert.throws(() => membersIn(body), /without a list/)
  })
})

describe('patroni: its news', () => {
  it('have every server looked at, and where it says the same as before none is', async () => {
    const told = { leader: 'a' }
    const source: Discovery = {
      name: 'patroni',
      dueMillis: 1000,
      get news() {
        return told.leader
      },
      discover: async () =>
        ['a', 'b'].map((each) => ({
          ...{ host: literal(each), port: 5432, servername: null, origin: 'configured' as const },
        })),
    }
    const servers = { a: server('primary', { replicas: 1 }), b: server('replica') }
    const { herd, clock } = scripted(servers, { monitorIntervalMillis: 60_000, maxLagMillis: Infinity }, undefined, {
      sources: [source],
    })
    void herd.run(WRITE, async () => {})
    await clock.advance(2500)
    const before = servers.b.looks
    await clock.advance(2000)
    assert.equal(servers.b.looks, before)
    told.leader = 'b'
    await clock.advance(1500)
    assert.equal(servers.b.looks, before + 1)
    await herd.finish()
    herd.end()
    herd.close()
  })
})
