// Whatever code an error has: how often its statement ran, whether its server was suspected, and what is told of it, follow from who
// made it.

import assert from 'node:assert/strict'
import type pg from 'pg'
import Cursor from 'pg-cursor'
import type { Pool, PoolClient } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, poolOn } from '../support/pools.js'

interface Failed {
  readonly code?: string
  readonly outcome?: string
  readonly message?: string
}

const CODES = [
  '25006',
  '57P01',
  '57P02',
  '57P03',
  '57P05',
  '25P04',
  '08006',
  '08001',
  '40001',
  '53300',
  '28P01',
  '0A000',
]

describe('who made an error', () => {
  let cluster: Cluster
  let admin: pg.Client
  let pool: Pool
  let suspected: string[]
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    admin = await cluster.connect(0, 'postgres')
    await admin.query(`create table runs (what text); create table kept (id int); create sequence counted;
      create function raises(code text) returns int language plpgsql as $$ begin
        perform nextval('counted'); raise exception 'refused' using errcode = code; end $$;
      create function quiet() returns int stable language plpgsql as
        $$ begin raise exception 'refused' using errcode = '25006'; end $$;
      create procedure commits(code text) language plpgsql as $$ begin
        insert into kept values (1); commit; raise exception 'refused' using errcode = code; end $$;
      grant all on all tables in schema public to public; grant all on all sequences in schema public to public`)
  })
  after(() => cluster.destroy())
  beforeEach(async () => {
    await admin.query(`truncate kept; select setval('counted', 1, false)`)
    pool = poolOn(cluster)
    await pool.ready({ replicas: 1 })
    await pool.query('select 1')
    suspected = []
    pool.on('topology', (topology) => {
      for (const { key, suspect } of topology.nodes) if (suspect) suspected.push(key)
    })
  })
  afterEach(endPools)

  const failed = (work: Promise<unknown>): Promise<Failed> =>
    work.then(
      () => assert.fail('it did not fail'),
      (error) => error as Failed
    )
  const kept = async () => (await admin.query<{ n: number }>('select count(*)::int as n from kept')).rows[0]?.n
  const counted = async () => {
    const { rows } = await admin.query<{ n: number }>(
      'select case when is_called then last_value else 0 end::int as n from counted'
    )
    return rows[0]?.n
  }
  const unsuspected = () => assert.deepEqual(suspected, [], 'a server was suspected')

  for (const code of CODES) {
    it(`${code} of a function's RAISE: one run, rolled back, nothing suspected`, async () => {
      const error = await failed(pool.query('select raises($1)', [code]))
      assert.deepEqual([error.code, error.outcome, await counted()], [code, 'rolled-back', 1])
      unsuspected()
    })

    it(`${code} of a type parser behind a write: one run, and not called undone`, async () => {
      const thrown = Object.freeze(Object.assign(new Error('parser'), { code, severity: 'FATAL' }))
      const plain = Object.assign(new Error('parser'), { code, severity: 'FATAL' })
      for (const error of [thrown, plain]) {
        const types = {
          getTypeParser: () => () => {
            throw error
          },
        } as unknown as pg.CustomTypesConfig
        const text = 'insert into kept values (1) returning id'
        const told = await failed(pool.query({ text, types }))
        assert.equal(told.message, 'parser')
        assert.ok(['unknown', 'committed', undefined].includes(told.outcome), told.outcome)
      }
      assert.equal(await kept(), 2)
      unsuspected()
    })
  }

  it("pg's own words from a type parser are not pg's", async () => {
    const texts = ['Connection terminated unexpectedly', 'Client was closed and is not queryable', 'timeout expired']
    for (const text of [...texts, 'Prepared statements must be unique', 'Query values must be an array']) {
      const types = {
        getTypeParser: () => () => {
          throw new Error(text)
        },
      } as unknown as pg.CustomTypesConfig
      const error = await failed(pool.query({ text: 'insert into kept values (1) returning id', types }))
      assert.ok(['unknown', 'committed'].includes(error.outcome ?? ''), `${text}: ${error.outcome}`)
    }
    assert.equal(await kept(), 5)
    unsuspected()
  })

  it('an error that was kept is not the next statement’s: 57P01 of a terminated backend, thrown again by a parser', async () => {
    const client = await pool.connect()
    client.on('error', () => {})
    const old = await failed(client.query('select pg_terminate_backend(pg_backend_pid())'))
    client.release(true)
    assert.equal(old.code, '57P01')
    await pool.query('select 1')
    await pool.query('insert into kept values (0)')
    suspected = []
    const types = {
      getTypeParser: () => () => {
        throw old
      },
    } as unknown as pg.CustomTypesConfig
    await failed(pool.query({ text: 'insert into kept values (1) returning id', types }))
    assert.equal(await kept(), 2, 'one run')
    unsuspected()
  })

  it('08P01, one parameter too few: one run, nothing executed, nothing suspected', async () => {
    for (const text of ['insert into kept values ($1), ($2)', 'select $1::int, $2::int', 'call commits($1 || $2)']) {
      const error = await failed(pool.query(text, [1]))
      assert.deepEqual([error.code, error.outcome], ['08P01', 'rolled-back'], text)
    }
    assert.equal(await kept(), 0)
    unsuspected()
  })

  it('a syntax error: nothing was executed, however it is sent', async () => {
    const texts = ['selec 1', 'insert into kept values (1); selec 1', "insert into kept values ('1)", 'commti', 'call(']
    for (const text of texts) {
      for (const query of [text, { text, values: [] as unknown[] }, { name: `n${text}`, text }]) {
        const error = await failed(pool.query(query as string))
        assert.deepEqual([error.code, error.outcome], ['42601', 'rolled-back'], text)
        const client = await pool.connect()
        assert.equal((await failed(client.query(query as string))).outcome, 'rolled-back', text)
        client.release()
      }
    }
    assert.equal(await kept(), 0)
    unsuspected()
  })

  it('a syntax error that comes late: a part may have been committed', async () => {
    const texts = [
      `insert into kept values (1); commit; do $$ begin selec 1; end $$`,
      `do $$ begin insert into kept values (1); commit; execute 'selec 1'; end $$`,
      `call commits('42601')`,
    ]
    for (const text of texts) {
      const error = await failed(pool.query(text))
      assert.deepEqual([error.code, error.outcome], ['42601', 'unknown'], text)
    }
    assert.equal(await kept(), 3)
  })

  it("transaction_timeout ends a statement: the session's own limit, one run", async function () {
    if (cluster.major < 17) {
      console.log(`      skipped: transaction_timeout came with 17, this is ${cluster.major}`)
      return this.skip()
    }
    const limited = poolOn(cluster, { options: '-c transaction_timeout=300ms' })
    await limited.ready()
    const text = "select nextval('counted') from pg_sleep(0.01) union all select nextval('counted') from pg_sleep(30)"
    const error = await failed(limited.query(text))
    assert.deepEqual([error.code, error.outcome, await counted()], ['25P04', 'rolled-back', 1])
  })

  it('postgres_fdw and dblink speak of another server', async function () {
    const { rows } = await admin.query("select 1 from pg_available_extensions where name in ('postgres_fdw', 'dblink')")
    if (rows.length < 2) {
      console.log('      skipped: this PostgreSQL has no postgres_fdw and dblink')
      return this.skip()
    }
    // What is foreign asks nobody but a superuser for less than a password.
    const own = poolOn(cluster, {}, 'postgres')
    await own.ready({ replicas: 1 })
    const hear: string[] = []
    own.on('topology', ({ nodes }) => {
      for (const { key, suspect } of nodes) if (suspect) hear.push(key)
    })
    const { host, port, database } = cluster.config(1, 'postgres')
    await admin.query(`create extension postgres_fdw; create extension dblink;
      create server nowhere foreign data wrapper postgres_fdw options (host '127.0.0.1', port '1', dbname 'postgres');
      create server standby foreign data wrapper postgres_fdw options (host '${host}', port '${port}', dbname '${database}');
      create user mapping for public server nowhere; create user mapping for public server standby;
      create foreign table away (id int) server nowhere; create foreign table theirs (id int) server standby
        options (table_name 'kept'); create foreign table gone (id int) server standby options (table_name 'nope');
      create function connects() returns int language sql as
        $$ select nextval('counted')::int from dblink('host=127.0.0.1 port=1', 'select 1') as d(id int) $$;
      create function writes() returns text language sql as
        $$ select dblink_exec('host=${host} port=${port} dbname=${database}', 'insert into kept values (1)') $$`)
    const texts = [
      ['select * from away', '08001'],
      ['insert into away values (1)', '08001'],
      ['insert into theirs values (1)', '25006'],
      ['select * from gone', '42P01'],
      ['select connects()', '08001'],
      ['select writes()', '25006'],
    ] as const
    for (const [text, code] of texts) {
      const error = await failed(own.query(text))
      assert.equal(error.code, code, `${text}: ${error.message}`)
      assert.ok(['rolled-back', 'unknown'].includes(error.outcome ?? ''), text)
    }
    assert.deepEqual(hear, [], 'a server was suspected')
    assert.deepEqual(own.retriedOnPrimary(), [], 'and no read ran on the primary for it')
  })

  it('a submittable that throws in submit(): known only if it had sent nothing', async () => {
    for (const [sends, outcome] of [
      [false, 'not-sent'],
      [true, 'unknown'],
    ] as const) {
      const submittable = {
        submit(connection: { query(text: string): void }) {
          if (sends) connection.query('insert into kept values (1)')
          throw Object.assign(new Error('thrown in submit'), { code: '57P01' })
        },
        handleError() {},
      }
      const error = await failed(pool.query(submittable as never) as unknown as Promise<unknown>)
      assert.deepEqual([error.message, error.outcome], ['thrown in submit', outcome])
    }
    unsuspected()
  })

  it('a cursor meets a RAISE: its own', async () => {
    const client: PoolClient = await pool.connect()
    const cursor = client.query(new Cursor("select raises('57P01') from generate_series(1, 10)"))
    const error = await failed(cursor.read(1))
    assert.deepEqual([error.code, error.outcome, await counted()], ['57P01', 'rolled-back', 1])
    client.release()
    unsuspected()
  })

  it('what a hook throws is its own, and what the server says to a hook is the server’s', async () => {
    const codes = ['57P03', '57P01', '25006', 'ECONNREFUSED']
    for (const code of codes) {
      let calls = 0
      const hooked = poolOn(cluster, {
        onConnect: () => {
          calls++
          throw Object.assign(new Error('hook'), { code })
        },
      } as object)
      const seen: string[] = []
      hooked.on('topology', ({ nodes }) => {
        for (const { key, suspect } of nodes) if (suspect) seen.push(key)
      })
      await hooked.ready()
      const error = await failed(hooked.query('insert into kept values (1)'))
      assert.deepEqual([error.message, error.outcome, calls], ['hook', 'not-sent', 1], code)
      assert.deepEqual(seen, [])
    }
    assert.equal(await kept(), 0)
  })

  it('a hook that raises 25006 on a replica has not tried to write', async () => {
    await cluster.caughtUp(1, 0)
    const hooked = poolOn(cluster, {
      maxLagMillis: Infinity,
      readYourWrites: 'off',
      onConnect: (client: pg.Client) => client.query('select quiet()').catch(() => {}),
    } as object)
    const warned: string[] = []
    const hear = ({ message }: Error) => warned.push(message)
    process.on('warning', hear)
    try {
      await hooked.ready({ replicas: 1 })
      await hooked.query('select 1')
      await hooked.query('insert into kept values (1)')
      assert.deepEqual(warned, [])
    } finally {
      process.removeListener('warning', hear)
    }
  })
})
