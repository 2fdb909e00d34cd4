// Random programs of statements on one client whose last answer is cut at a random message: what its outcome says, and what
// counts as an own write, beside the rows that are there.

import assert from 'node:assert/strict'
import type { Client } from 'pg'
import { sessionOf } from '../../src/pg/watch.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { Cutter } from '../support/cutter.js'
import { endPools, eventually, tracked } from '../support/pools.js'
import { generator } from '../support/programs.js'

const PROGRAMS = Number(process.env.PGHERD_OUTCOME_PROGRAMS ?? 60)
const SEED = Number(process.env.PGHERD_TEST_SEED ?? 1)

/** `?` becomes the next number; each is inserted once. */
const STATEMENTS = [
  ...['insert into items values (?)', 'insert into items values (?)', 'insert into items select ?::int'],
  ...['begin', 'commit', 'rollback', '/* c */ end and chain', 'abort and chain', 'start transaction'],
  ...['savepoint a', 'rollback to a', 'select 1/0', 'select 1', 'set lock_timeout to 0', 'discard all'],
  'insert into items values (?); insert into items values (?)',
  'rollback; insert into items values (?)',
  'commit; begin; insert into items values (?)',
  'insert into items values (?); commit; insert into items values (?)',
  'insert into items values (?); select 1/0',
  'insert into items values (?); commit; select 1/0',
  'begin; insert into items values (?); commit',
  'do $$ begin insert into items values (?); end $$',
  'do $$ begin insert into items values (?); commit; perform 1/0; end $$',
]

describe('outcomes of random programs', () => {
  let cluster: Cluster
  let admin: Client
  let cutter: Cutter
  before(async () => {
    cluster = await startCluster({ replicas: 0 })
    admin = await cluster.connect(0, 'postgres')
    await admin.query('create table items (id int)')
    cutter = await Cutter.start(cluster.node(0))
  })
  after(async () => {
    await endPools()
    await cutter.close()
    await cluster.destroy()
  })

  it(`${PROGRAMS} of them agree with the rows`, async function () {
    this.timeout(120_000)
    const { user, password, database } = cluster.config(0, 'postgres')
    const pool = tracked({ host: cutter.host, port: cutter.port, user, password, database, max: 1 })
    const there = async () => new Set((await admin.query('select id from items')).rows.map(({ id }) => id as number))
    let next = 0
    const told: Record<string, number> = {}
    for (let i = 0; i < PROGRAMS; i++) {
      const random = generator(SEED * 1_000_000 + i)
      const pick = () => STATEMENTS[Math.floor(random() * STATEMENTS.length)] ?? ''
      const numbered = () => {
        const ids: number[] = []
        const text = pick().replace(/\?/g, () => String(ids[ids.push(++next) - 1]))
        return { text, ids, extended: !text.includes(';') && random() < 0.5 }
      }
      const client = await pool.connect()
      client.on('error', () => {})
      const session = sessionOf(client)
      assert.ok(session)
      const said: string[] = []
      let released = false
      let seen = await there()
      try {
        for (let step = Math.floor(random() * 6); step >= 0; step--) {
          const { text, ids, extended } = numbered()
          const last = step === 0
          const messages = 1 + Math.floor(random() * 4)
          if (last) cutter.cutWhen(text, (types) => types.length >= messages || types.endsWith('Z'))
          const wroteAt = session.wroteAt
          const query = { text, ...(extended && { queryMode: 'extended' }) }
          const error = await client.query(query).then(
            () => null,
            (error: { readonly outcome?: string }) => error
          )
          said.push(`${text}${extended ? ' (extended)' : ''}: ${error === null ? 'ok' : error.outcome}`)
          if (last) {
            const { processID } = client as unknown as { readonly processID: number }
            released = true
            client.release(true)
            const alive = 'select 1 from pg_stat_activity where pid = $1'
            await eventually('the session is over', async () => (await admin.query(alive, [processID])).rowCount === 0)
          } else if (error !== null) await client.query('select 1').catch(() => {})
          const rows = await there()
          const found = ids.filter((id) => rows.has(id))
          const program = `program ${i}: ${said.join(' | ')}; of ${ids} there: ${found}`
          const outcome = error?.outcome ?? 'ok'
          told[outcome] = (told[outcome] ?? 0) + 1
          if (outcome === 'rolled-back') assert.deepEqual(found, [], program)
          if (outcome === 'committed') assert.deepEqual(found, ids, program)
          assert.notEqual(outcome, 'not-sent', program)
          // What has appeared must have been counted as written.
          if (rows.size > seen.size) assert.notEqual(session.wroteAt, wroteAt, program)
          seen = rows
        }
      } finally {
        if (!released) client.release(true)
      }
    }
    console.log(`      (${JSON.stringify(told)})`)
    for (const outcome of ['ok', 'rolled-back', 'committed', 'unknown']) assert.ok((told[outcome] ?? 0) > 0, outcome)
  })
})
