// Names that are looked up at name servers of the user's choosing: over UDP from a server of the tests' own, and by answers alone
// where only the times between questions matter.

import assert from 'node:assert/strict'
import { keyOf } from '../../src/core/cluster/address.js'
import type { Discovery } from '../../src/discovery/discovery.js'
import { type DnsSettings, nameSource, namesOf, weightOf } from '../../src/discovery/dns.js'
import type { Names, Service } from '../../src/discovery/resolver.js'
import { type DnsServer, startDns } from '../support/dns-server.js'
import { literal, scripted, server as scriptOf, set, WRITE } from '../support/scripted-herd.js'

const NAME = { host: 'db.test', port: 5432 }

describe('dns: own name servers', () => {
  let server: DnsServer
  const names: Names[] = []
  beforeEach(async () => {
    server = await startDns()
  })
  afterEach(async () => {
    for (const each of names.splice(0)) each.stop()
    await server.close()
  })

  function source(settings: DnsSettings = {}, of: Parameters<typeof nameSource>[0] = NAME): Discovery {
    const own = { servers: [server.address], ...settings }
    const asked = namesOf(own)
    names.push(asked)
    return nameSource(of, own, asked)
  }
  const keysOf = async (from: Discovery) => (await from.discover()).map(keyOf).sort()

  it('every address is a node, of both families, under the name that the certificate must carry', async () => {
    server.zone.set('db.test', { a: ['10.0.0.1', '10.0.0.2'], aaaa: ['fd00::1'] })
    const found = await source({}, { ...NAME, weight: 2, zone: 'x' }).discover()
    const traits = { port: 5432, servername: 'db.test', origin: 'configured', weight: 2, zone: 'x' }
    assert.deepEqual(
      [...found].sort((a, b) => a.host.localeCompare(b.host)),
      ['10.0.0.1', '10.0.0.2', 'fd00::1'].map((host) => ({ host, ...traits }))
    )
  })

  it('a time to live counts between a second and the interval', async () => {
    const cases: readonly (readonly [number, DnsSettings, number])[] = [
      [0, {}, 1000],
      [3, {}, 3000],
      [60, {}, 5000],
      [60, { intervalMillis: 30_000 }, 30_000],
      [60, { intervalMillis: 90_000 }, 60_000],
    ]
    for (const [ttl, settings, millis] of cases) {
      server.zone.set('db.test', { a: ['10.0.0.1'], aaaa: ['fd00::1'], ttl })
      const from = source(settings)
      await from.discover()
      assert.equal(from.dueMillis, millis, JSON.stringify([ttl, settings]))
    }
  })

  it('nothing found, no such name, a failure and silence are no answers', async () => {
    const from = source()
    await assert.rejects(async () => from.discover(), { code: 'ENOTFOUND' })
    server.zone.set('db.test', {})
    await assert.rejects(async () => from.discover(), { code: 'ENODATA' })
    server.zone.set('db.test', { a: ['10.0.0.1'] })
    assert.deepEqual(await keysOf(from), ['10.0.0.1:5432'])
    server.mode = 'servfail'
    assert.deepEqual(await keysOf(from), ['10.0.0.1:5432'])
    server.mode = 'nxdomain'
    await assert.rejects(async () => from.discover(), { code: 'ENOTFOUND' })
    server.mode = 'silent'
    await assert.rejects(async () => from.discover(), { code: 'ETIMEOUT' })
    server.mode = 'refused'
    await assert.rejects(async () => from.discover(), { code: 'EREFUSED' })
  })

  it('a question that is under way ends with the source', async () => {
    server.mode = 'silent'
    const from = source()
    const asked = assert.rejects(async () => from.discover(), { code: 'ECANCELLED' })
    from.stop?.()
    await asked
  })

  it('a service names servers, ports and shares; the certificate is that of the name that was configured', async () => {
    server.zone.set('_postgresql._tcp.db.test', {
      srv: [
        { name: 'n0.db.test', port: 6000, priority: 1, weight: 30 },
        { name: 'n1.db.test', port: 6001, priority: 1, weight: 10 },
        { name: 'n2.db.test', port: 6002, priority: 2, weight: 99 },
      ],
    })
    for (const n of [0, 1, 2]) server.zone.set(`n${n}.db.test`, { a: [`10.0.0.${n}`], ttl: 2 + n })
    const from = source({ srv: true })
    const at = (n: number, weight: number) => ({
      ...{ host: `10.0.0.${n}`, port: 6000 + n, servername: 'db.test', origin: 'configured' },
      weight,
    })
    const found = [...(await from.discover())].sort((a, b) => a.port - b.port)
    assert.deepEqual(found, [at(0, 1.5), at(1, 0.5), at(2, 0)])
    assert.equal(from.dueMillis, 2000)
  })

  it('a service of another name; a server that cannot be looked up now is where it was; a weight that is given stands', async () => {
    const srv = [
      { name: 'n0.db.test', port: 6000 },
      { name: 'n1.db.test', port: 6001 },
    ]
    server.zone.set('_pg._tcp.db.test', { srv })
    server.zone.set('n0.db.test', { a: ['10.0.0.1'] })
    const from = source({ srv: '_pg._tcp' }, { ...NAME, weight: 3 })
    assert.deepEqual(await keysOf(from), ['10.0.0.1:6000'])
    server.zone.set('n1.db.test', { a: ['10.0.0.2'] })
    assert.deepEqual(await keysOf(from), ['10.0.0.1:6000', '10.0.0.2:6001'])
    server.zone.delete('n0.db.test')
    const found = await from.discover()
    assert.deepEqual(
      found.map(({ weight }) => weight),
      [3, 3]
    )
    server.zone.set('_pg._tcp.db.test', { srv: srv.slice(1) })
    assert.deepEqual(await keysOf(from), ['10.0.0.2:6001'])
    server.zone.set('_pg._tcp.db.test', { srv: [{ name: '', port: 0 }] })
    await assert.rejects(async () => from.discover(), /_pg\._tcp\.db\.test names no server/)
  })

  it('shares: by weight among the first, none for what comes after them', () => {
    const of = (priority: number, weight: number): Service => ({ name: `n${weight}`, port: 1, priority, weight })
    const shares = (...records: readonly Service[]) => records.map((record) => weightOf(record, records))
    assert.deepEqual(shares(of(0, 0), of(0, 0)), [1, 1])
    assert.deepEqual(shares(of(0, 5), of(0, 15)), [0.5, 1.5])
    assert.deepEqual(shares(of(1, 0), of(1, 4), of(2, 4)), [0, 2, 0])
  })
})

describe('dns: when it is asked again', () => {
  /** A name that leads to a primary and a replica, and the times at which it was asked, from the first look on. */
  async function named(dueMillis: number | null) {
    const asked: number[] = []
    const name = { fails: false, leads: ['a', 'b'] }
    const source: Discovery = {
      name: 'dns db.test:5432',
      dueMillis,
      discover: async () => {
        asked.push(clock.mono())
        if (name.fails) throw Object.assign(new Error('queryA ESERVFAIL db.test'), { code: 'ESERVFAIL' })
        const origin = 'configured' as const
        return name.leads.map((each) => ({ host: literal(each), port: 5432, servername: null, origin }))
      },
    }
    const servers = { a: scriptOf('primary', { replicas: 1 }), b: scriptOf('replica'), c: scriptOf('replica') }
    const { herd, clock } = scripted(servers, {}, undefined, { sources: [source] })
    const write = () => void herd.run(WRITE, async () => {})
    write()
    await clock.advance(1000)
    const end = async () => {
      await herd.finish()
      herd.end()
      herd.close()
    }
    const gaps = () => asked.slice(1).map((at, i) => at - (asked[i] as number))
    return { herd, clock, name, servers, asked, gaps, write, end }
  }

  it('when its answer is outdated; after a failure in half a second, then less often, and the last answer stands', async () => {
    const { herd, clock, name, asked, gaps, end } = await named(1500)
    await clock.advance(3000)
    name.fails = true
    const before = asked.length
    await clock.advance(5500)
    assert.deepEqual(gaps().slice(before - 1, before + 4), [1500, 500, 1000, 1500, 1500])
    assert.equal(herd.topology.nodes.size, 2)
    assert.match(herd.topology.blind.get('dns db.test:5432')?.message ?? '', /ESERVFAIL/)
    await end()
  })

  it('every five seconds where the answer does not say how long it holds', async () => {
    const { clock, gaps, end } = await named(null)
    await clock.advance(8000)
    assert.equal(gaps().at(-1), 5000)
    await end()
  })

  it('at once when a replica dies, as when the primary does', async () => {
    const { herd, clock, name, servers, asked, end } = await named(5000)
    name.leads = ['a', 'c']
    const before = asked.length
    set(servers.b, { mode: 'refuses' })
    await clock.advance(400)
    assert.equal(asked.length, before + 1)
    assert.deepEqual([...herd.topology.nodes.keys()].sort(), [`${literal('a')}:5432`, `${literal('c')}:5432`])
    await end()
  })
})
