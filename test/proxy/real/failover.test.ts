// A failover under the proxy: clients stay connected, reads go on, and what became of every write is known: nothing acknowledged is lost,
// nothing that was reported as not done is there, nothing is done twice.

import assert from 'node:assert/strict'
import type pg from 'pg'
import { type Cluster, startCluster } from '../../support/cluster.js'
import { endProxies, proxyOn } from '../../support/proxies.js'

const WRITERS = 6
const READERS = 3

describe('a failover under the proxy', () => {
  let cluster: Cluster

  before(async () => {
    // Synchronous: what is acknowledged is on a replica.
    cluster = await startCluster({ replicas: 2, synchronous: 'ANY 1 (n1, n2)' })
    const client = await cluster.connect(0)
    await client.query('create table ledger (id int not null, note text)')
  })
  afterEach(() => endProxies())
  after(() => cluster.destroy())

  it('the ledger is exact, and no client is disconnected', async () => {
    const served = await proxyOn(cluster)
    await served.ready(2)
    let next = 0
    let isOver = false
    const acknowledged = new Set<number>()
    const failed = new Map<number, string>()
    const unknown = new Set<number>()
    const codes = new Set<string>()
    let reads = 0
    const readErrors: string[] = []
    const note = (id: number, error: unknown) => {
      const { code = '', detail = '' } = error as { code?: string; detail?: string }
      codes.add(code)
      if (code === '08007' || /not known/.test(detail)) unknown.add(id)
      else failed.set(id, code)
    }
    const write = async (client: pg.Client, n: number) => {
      while (!isOver) {
        const id = next++
        try {
          if (n % 2 === 0) await client.query('insert into ledger values ($1, $2)', [id, 'alone'])
          else {
            await client.query('begin')
            await client.query('insert into ledger values ($1, $2)', [id, 'in a block'])
            const { command } = await client.query('commit')
            if (command !== 'COMMIT') {
              failed.set(id, command)
              continue
            }
          }
          acknowledged.add(id)
        } catch (error) {
          note(id, error)
          if (n % 2 === 1) await client.query('rollback').catch(() => {})
        }
      }
    }
    const read = async (client: pg.Client) => {
      while (!isOver) {
        try {
          await client.query('select count(*) from ledger')
          reads++
        } catch (error) {
          readErrors.push(String((error as Error).message))
        }
      }
    }
    const clients = await Promise.all(Array.from({ length: WRITERS + READERS }, () => served.connect()))
    const ended: string[] = []
    for (const client of clients) client.on('end', () => ended.push('a client'))
    const work = clients.map((client, n) => (n < WRITERS ? write(client, n) : read(client)))
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const before = acknowledged.size
    await cluster.kill(0)
    await cluster.promote(1)
    await cluster.follow(2, 1)
    await new Promise((resolve) => setTimeout(resolve, 2000))
    isOver = true
    await Promise.all(work)
    assert.ok(before > 0 && acknowledged.size > before, `${before} writes before, ${acknowledged.size} in all`)
    assert.ok(reads > 0)
    assert.deepEqual(readErrors, [])
    assert.deepEqual(ended, [])
    const { rows } = await (await cluster.connect(1)).query<{ id: number; n: number }>(
      'select id, count(*)::int as n from ledger group by id'
    )
    const there = new Map(rows.map(({ id, n }) => [id, n]))
    assert.deepEqual(
      [...acknowledged].filter((id) => !there.has(id)),
      [],
      'acknowledged and lost'
    )
    assert.deepEqual(
      [...there].filter(([, n]) => n > 1),
      [],
      'done twice'
    )
    assert.deepEqual(
      [...failed].filter(([id]) => there.has(id)),
      [],
      'reported as not done, and there'
    )
    for (const code of codes) assert.match(code, /^(?:08007|57P01|57P03|25P02)$/)
  })
})
