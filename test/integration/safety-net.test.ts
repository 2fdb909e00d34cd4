import assert from 'node:assert/strict'
import type pg from 'pg'
import type { Pool } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, keyOf, poolOn } from '../support/pools.js'

/** What a standby refuses, or does not find, in the words of PostgreSQL's core. */
const REFUSED = {
  '0A000': 'select 1 from unlogged',
  '55000': 'select pg_current_wal_lsn()',
  XX000: "select pg_logical_emit_message(true, 'x', 'y')",
  '42P01': 'select 1 from nope',
  '42703': 'select nope from kept',
  '42883': 'select nope(1)',
  '42704': "select 'x'::nope",
  '3F000': 'select nope.nope(1)',
  '22012': 'select 1 / 0',
} as const

/** Fails on a standby only: a STABLE function that lies, by what it does there, or in a word of its own. */
const LIARS = Object.entries(REFUSED)
  .map(
    ([
      code,
      text,
    ]) => `create function raises_${code.toLowerCase()}(text) returns text stable language plpgsql as $$ begin
      if pg_is_in_recovery() then execute ${quoted(text)}; end if; return $1; end $$;
    create function pretends_${code.toLowerCase()}(text) returns text stable language plpgsql as $$ begin
      if pg_is_in_recovery() then raise exception 'refused' using errcode = '${code}'; end if; return $1; end $$;`
  )
  .join('\n')

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

describe('what a replica refuses', () => {
  let cluster: Cluster
  let admin: pg.Client
  before(async () => {
    cluster = await startCluster({ replicas: 2 })
    await cluster.streaming(0, 2)
    admin = await cluster.connect(0, 'postgres')
    await admin.query(`create table kept (id int, what text); grant all on kept to public; insert into kept values (1, 'a');
      create unlogged table unlogged (id int); grant all on unlogged to public;
      create function writes_really(int) returns bigint language sql as $$ insert into kept values ($1) returning 1::bigint $$;
      create function liar(int) returns int stable language plpgsql as $$ begin perform writes_really($1); return $1; end $$;
      ${LIARS}`)
    await Promise.all([cluster.caughtUp(1, 0), cluster.caughtUp(2, 0)])
  })
  after(() => cluster.destroy())
  afterEach(endPools)

  /** A pool whose reads go to replicas, whatever was written. */
  async function reader(options: object = {}): Promise<Pool> {
    const pool = poolOn(cluster, { maxLagMillis: Infinity, readYourWrites: 'off', ...options })
    await pool.ready({ replicas: 2 })
    return pool
  }
  const onReplica = (pool: Pool, sql: string) => pool.explain(sql).node !== keyOf(cluster, 0)

  it('25006: runs on the primary, is remembered by text and by the function to blame, and counted', async () => {
    const pool = await reader()
    const sql = "select liar(7), 'secret' as s"
    assert.ok(onReplica(pool, sql), 'the catalogue believes what the function says of itself')
    assert.equal((await pool.query<{ liar: number }>(sql)).rows[0]?.liar, 7)
    const { rows } = await admin.query('select count(*)::int as n from kept where id = 7')
    assert.deepEqual(rows, [{ n: 1 }], 'once')
    const { intent, reason, node } = pool.explain(sql)
    assert.deepEqual([intent, node], ['write', keyOf(cluster, 0)])
    assert.match(reason, /refused by a replica \(25006\)/)
    assert.match(
      pool.explain('select liar(8) from kept').reason,
      /refused by a replica/,
      'other texts with that function too'
    )
    await pool.query("select liar(9), 'another secret' as s")
    assert.deepEqual(pool.retriedOnPrimary(), [
      { statement: 'select liar(?), ? as s', code: '25006', name: 'liar', count: 1, served: 1 },
    ])
  })

  for (const code of ['0A000', '55000', 'XX000']) {
    it(`${code}: runs on the primary, and is remembered because that served it`, async () => {
      const pool = await reader()
      const sql = `select raises_${code.toLowerCase()}('x') as x`
      assert.ok(onReplica(pool, sql))
      assert.deepEqual((await pool.query(sql)).rows, [{ x: 'x' }])
      assert.ok(!onReplica(pool, sql))
      await pool.query(sql)
      const [repair] = pool.retriedOnPrimary()
      assert.deepEqual([repair?.code, repair?.count, repair?.served], [code, 1, 1])
    })
  }

  for (const code of ['42P01', '42703', '42883', '42704', '3F000']) {
    it(`${code}: runs on the primary, and is never remembered`, async () => {
      const pool = await reader()
      const sql = `select raises_${code.toLowerCase()}('x') as x`
      for (let i = 1; i <= 3; i++) {
        assert.ok(onReplica(pool, sql))
        assert.deepEqual((await pool.query(sql)).rows, [{ x: 'x' }])
        const [repair] = pool.retriedOnPrimary()
        assert.deepEqual([repair?.code, repair?.count, repair?.served, repair?.name], [code, i, i, null])
      }
    })
  }

  it('the same codes of RAISE are its own: shown as they came, run once, and never remembered', async () => {
    const pool = await reader()
    for (const code of Object.keys(REFUSED)) {
      const sql = `select pretends_${code.toLowerCase()}('x')`
      await assert.rejects(pool.query(sql), { code, message: 'refused', outcome: 'rolled-back' })
      assert.ok(onReplica(pool, sql))
    }
    assert.deepEqual(pool.retriedOnPrimary(), [])
  })

  it('any other error is shown as it came, from the replica', async () => {
    const pool = await reader()
    await assert.rejects(pool.query("select raises_22012('x')"), { code: '22012', message: 'division by zero' })
    assert.deepEqual(pool.retriedOnPrimary(), [])
  })

  it("if the primary fails too, its error is the one shown: a misspelt table is the user's to see", async () => {
    const pool = await reader()
    await assert.rejects(pool.query('select * from kpet'), { code: '42P01', message: /"kpet" does not exist/ })
    const [repair] = pool.retriedOnPrimary()
    assert.deepEqual([repair?.code, repair?.count, repair?.served], ['42P01', 1, 0])
  })

  it('a named statement is prepared anew on the primary', async () => {
    const pool = await reader()
    const query = { name: 'by-id', text: 'select liar($1::int)', values: [21] }
    assert.deepEqual((await pool.query(query)).rows, [{ liar: 21 }])
    assert.deepEqual((await pool.query(query)).rows, [{ liar: 21 }])
  })

  it("route: 'replica', its hint and a view of replicas show the server's own error", async () => {
    const pool = await reader()
    await assert.rejects(pool.query({ text: 'select liar(30)', route: 'replica' }), { code: '25006' })
    await assert.rejects(pool.query('/* pgherd:replica */ select liar(30)'), { code: '25006' })
    await assert.rejects(pool.query('/* pgherd:replica */ insert into kept values (30)'), { code: '25006' })
    await assert.rejects(pool.view({ route: 'replica' }).query('insert into kept values (30)'), {
      code: '25006',
      outcome: 'rolled-back',
    })
    await assert.rejects(pool.query({ text: 'select * from kpet', route: 'replica' }), { code: '42P01' })
    assert.deepEqual(pool.retriedOnPrimary(), [])
    assert.deepEqual((await admin.query('select 1 from kept where id = 30')).rows, [])
  })

  it('never inside a transaction, nor on a client that somebody holds', async () => {
    const pool = await reader()
    const client = await pool.view({ route: 'replica' }).connect()
    try {
      await assert.rejects(client.query('select liar(31)'), { code: '25006' })
      await client.query('begin read only')
      await assert.rejects(client.query('select liar(31)'), { code: '25006' })
      await client.query('rollback')
    } finally {
      client.release()
    }
    assert.deepEqual((await admin.query('select 1 from kept where id = 31')).rows, [])
  })

  it('what was repaired counts as a write of its own pool, and so does a read that was sent to the primary', async () => {
    const pool = poolOn(cluster, { maxLagMillis: 60_000 })
    await pool.ready({ replicas: 2 })
    // Others, which have learned nothing from a refusal.
    const others = [poolOn(cluster, { maxLagMillis: 60_000 }), poolOn(cluster, { maxLagMillis: 60_000 })] as const
    for (const other of others) await other.ready({ replicas: 2 })
    const counted = async (from: Pool) =>
      (await from.query<{ n: number }>('select count(*)::int as n from kept where id >= 100')).rows[0]?.n
    await Promise.all([cluster.pauseReplay(1), cluster.pauseReplay(2)])
    try {
      await others[0].query({ text: 'select liar(101)', route: 'primary' })
      assert.equal(await counted(others[0]), 1)
      await others[1].view({ route: 'primary' }).query('select liar(102)')
      assert.equal(await counted(others[1]), 2)
      await pool.query('select liar(100)')
      assert.equal(await counted(pool), 3)
    } finally {
      await Promise.all([cluster.resumeReplay(1), cluster.resumeReplay(2)])
    }
  })

  describe('because it has not been replayed yet', () => {
    before(() => Promise.all([cluster.pauseReplay(1), cluster.pauseReplay(2)]))
    after(() => Promise.all([cluster.resumeReplay(1), cluster.resumeReplay(2)]))

    it('a table (42P01), a column (42703), a function (42883), a type (42704), a schema (3F000)', async () => {
      const pool = await reader()
      await admin.query(`create table fresh (id int); grant select on fresh to public; alter table kept add column more int;
        create function raises_0a000(int) returns int stable language sql as 'select $1'; create type mood as enum ('well');
        create schema annexe; grant usage on schema annexe to public;
        create function annexe.raises_22012() returns int stable language sql as 'select 1'`)
      const rows: readonly (readonly [code: string, sql: string])[] = [
        ['42P01', 'select id from fresh'],
        ['42703', 'select more from kept limit 0'],
        ['42883', 'select raises_0a000(1)'],
        ['42704', "select 'well'::mood"],
        ['3F000', 'select annexe.raises_22012()'],
      ]
      for (const [code, sql] of rows) {
        assert.ok(onReplica(pool, sql), sql)
        await pool.query(sql)
        assert.ok(
          pool.retriedOnPrimary().some((repair) => repair.code === code && repair.served === 1),
          code
        )
      }
    })
  })

  it('40001 of the replay: another node once', async () => {
    const pool = poolOn(cluster, { maxLagMillis: Infinity, readYourWrites: 'off' }, 'app', [0, 1])
    await pool.ready({ replicas: 1 })
    const replica = await cluster.connect(1, 'postgres')
    await replica.query("alter system set max_standby_streaming_delay = '0'")
    await cluster.reload(1)
    await admin.query('create table doomed as select 1 as id; grant select on doomed to public')
    await cluster.caughtUp(1, 0)
    const reading = pool.query<{ n: number }>('select count(*)::int as n, pg_sleep(0.3) from doomed')
    await eventually('the replica reads it', async () => {
      const text = "select 1 from pg_stat_activity where query like 'select count(%doomed' and wait_event = 'PgSleep'"
      return (await replica.query(text)).rowCount === 1
    })
    await admin.query('alter table doomed add column more int')
    assert.equal((await reading).rows[0]?.n, 1)
    // A session that goes on tells its counts after a while.
    await eventually('the replica cancelled it', async () => {
      const text = 'select confl_lock::int as n from pg_stat_database_conflicts where datname = current_database()'
      const [conflicts] = (await replica.query<{ n: number }>(text)).rows
      return (conflicts?.n ?? 0) >= 1
    })
    assert.deepEqual(pool.retriedOnPrimary(), [], 'which says nothing about the statement')
  })
})
