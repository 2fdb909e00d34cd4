import assert from 'node:assert/strict'
import type pg from 'pg'
import { connectionQuestion } from '../../src/herd/question.js'
import type { Pool } from '../../src/index.js'
import { systemClock } from '../../src/runtime/clock.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, keyOf, poolOn } from '../support/pools.js'

/** Each of these is accepted by a standby, or refused with an error; none may be sent to one. */
const DEFINED = `
  create table orders (id serial, item text, primary key (id));
  create table attempts (what text);
  create function swallows(text) returns text language plpgsql as $$ begin
    begin insert into attempts values ($1); exception when others then null; end; return $1; end $$;
  create function hides_a_lock() returns int language plpgsql as $$ begin perform pg_advisory_lock(7); return 1; end $$;
  create function slug(text) returns text immutable language sql as $$ select lower($1) $$;
  create function touch(orders) returns text language plpgsql as $$ begin return swallows('touch'); end $$;
  create function step(text, text) returns text language plpgsql as $$ begin return swallows('step'); end $$;
  create aggregate recorded(text) (sfunc = step, stype = text, initcond = '');
  create view tickets as select nextval('orders_id_seq') as n;
  create view ticket_list as select t.n, o.item from tickets t left join orders o on o.id = t.n;
  create view swallowing as select swallows('view') as s;
  create view locked as select pg_try_advisory_lock(8);
  create view honest as select slug(item) as item from orders;
  create table secrets (id int);
  alter table secrets enable row level security;
  create policy watched on secrets using (swallows('policy') is not null);
  create unlogged table cache (a int);
  create table parts (a int) partition by list (a);
  create unlogged table parts_1 partition of parts for values in (1);
  create function alike(text, text) returns boolean language plpgsql as $$ begin return swallows($1) = $2; end $$;
  create operator === (leftarg = text, rightarg = text, function = alike);
  create domain ticked as text check (swallows(value) is not null);
  create function touch_int(int) returns int language plpgsql as $$ begin perform swallows('int'); return $1; end $$;
  create foreign data wrapper nowhere;
  create server elsewhere foreign data wrapper nowhere;
  create foreign table far (a int) server elsewhere;
  create view far_view as select * from far;
  grant usage on schema public to public;
  grant all on all tables in schema public to public;
  grant all on all sequences in schema public to public`

/** Between two readings the catalogue pauses ten times as long as the last one took: seconds each, on a busy machine. */
const READ_AGAIN_MILLIS = 100_000

describe('what a name hides', function () {
  this.timeout(2 * READ_AGAIN_MILLIS)
  let cluster: Cluster
  let admin: pg.Client
  before(async () => {
    cluster = await startCluster({ replicas: 2 })
    await cluster.streaming(0, 2)
    admin = await cluster.connect(0, 'postgres')
    await admin.query(DEFINED)
    await Promise.all([cluster.caughtUp(1, 0), cluster.caughtUp(2, 0)])
  })
  after(() => cluster.destroy())
  afterEach(endPools)

  const again = (what: string, test: () => boolean | Promise<boolean>) => eventually(what, test, READ_AGAIN_MILLIS)
  const primary = () => keyOf(cluster, 0)
  async function ready(options: object = {}): Promise<Pool> {
    const pool = poolOn(cluster, { maxLagMillis: Infinity, readYourWrites: 'off', ...options })
    await pool.ready({ replicas: 2 })
    return pool
  }

  const onPrimary: readonly (readonly [sql: string, reason: RegExp])[] = [
    ["select swallows('direct')", /VOLATILE/],
    ['select hides_a_lock()', /VOLATILE/],
    ['select o.touch from orders o', /VOLATILE/],
    ['select recorded(item) from orders', /VOLATILE/],
    ['select (o.id).touch_int from orders o', /VOLATILE/],
    ["select 'x'::ticked", /domain whose CHECK reaches swallows/],
    ["select cast('x' as ticked)", /domain whose CHECK reaches swallows/],
    ['select * from tickets', /view that reaches nextval/],
    ['select * from ticket_list', /view that reaches tickets, which is a view that reaches nextval/],
    ['select * from swallowing', /view that reaches swallows, which is declared VOLATILE/],
    ['select * from locked', /view that reaches pg_try_advisory_lock/],
    ["select id from orders where item === 'x'", /operator whose function is declared VOLATILE/],
    ['select * from secrets', /policy that reaches swallows/],
    ['select * from cache', /unlogged/],
    ['select * from parts', /unlogged, or has a part that is/],
    ['select * from far', /foreign table/],
    ['select * from far_view', /view that reaches far, which is a foreign table/],
    ['select * from orders_id_seq', /sequence/],
    ['select last_value from orders_id_seq', /sequence/],
    ["select currval('orders_id_seq')", /sequence/],
  ]
  for (const [sql, reason] of onPrimary) {
    it(`goes to the primary: ${sql}`, async () => {
      const pool = await ready()
      const told = pool.explain(sql)
      assert.equal(told.node, primary())
      assert.match(told.reason, reason)
      await pool.query(sql).catch(() => {}) // some of these fail on the primary too
      assert.deepEqual(pool.retriedOnPrimary(), [], 'no replica was asked')
    })
  }

  for (const sql of [
    'select slug(item) from orders',
    'select * from honest',
    'select item from orders',
    'select o.id from orders o',
  ]) {
    it(`goes to a replica: ${sql}`, async () => {
      const pool = await ready()
      assert.notEqual(pool.explain(sql).node, primary())
      await pool.query(sql)
      assert.deepEqual(pool.retriedOnPrimary(), [])
    })
  }

  it('what a function did in secret was done on the primary', async () => {
    const pool = await ready()
    await admin.query('truncate attempts')
    await pool.query("select swallows('kept')")
    assert.deepEqual((await admin.query('select what from attempts')).rows, [{ what: 'kept' }])
  })

  it("the user's word: primaryFunctions, replicaSafeFunctions, primaryRelations, with or without a schema", async () => {
    const options = {
      primaryFunctions: ['public.Slug'],
      replicaSafeFunctions: ['hides_a_lock'],
      primaryRelations: ['attempts'],
    }
    const pool = await ready(options)
    assert.equal(pool.explain('select slug(item) from orders').node, primary())
    assert.equal(pool.explain('select * from public.attempts').node, primary())
    assert.notEqual(pool.explain('select hides_a_lock()').node, primary())
    assert.equal(pool.explain('select * from honest').node, primary(), 'a view that calls slug')
    const other = await ready({ replicaSafeFunctions: ['swallows'] })
    for (const sql of ['select * from swallowing', 'select * from secrets']) {
      assert.notEqual(other.explain(sql).node, primary(), sql)
    }
  })

  it('until it has been read, and in a pool with an unknown function, the primary serves', async () => {
    const pool = poolOn(cluster, { maxLagMillis: Infinity, readYourWrites: 'off' })
    assert.equal((await pool.query('select item from orders')).rowCount, 0)
    assert.match(pool.explain('select no_such_function(1)').reason, /no function of PostgreSQL/)
  })

  it('definitions made through the pool count before the next read', async () => {
    const pool = await ready({ readYourWrites: 'pool', maxLagMillis: 1000 })
    const [owner] = [poolOn(cluster, {}, 'postgres')]
    await owner.ready({ replicas: 2 })
    for (let i = 0; i < 10; i++) {
      await owner.query(`create view hidden_${i} as select swallows('hidden ${i}') as s`)
      await owner.query(`select s from hidden_${i}`)
      const { rows } = await admin.query('select 1 from attempts where what = $1', [`hidden ${i}`])
      assert.equal(rows.length, 1, 'it ran on the primary')
    }
    await again('the catalogue has been read again', () =>
      /view that reaches/.test(owner.explain('select * from hidden_9').reason)
    )
    await again('other reads go to replicas again', async () => {
      await owner.query('select item from orders')
      return owner.explain('select item from orders').node !== primary()
    })
    assert.ok(pool)
  })

  it('so do those in a transaction, when it commits', async () => {
    const owner = poolOn(cluster, { maxLagMillis: Infinity }, 'postgres')
    await owner.ready({ replicas: 2 })
    const client = await owner.connect()
    await client.query('begin')
    await client.query('alter function slug(text) volatile')
    assert.notEqual(owner.explain("select slug('a')").node, primary(), 'for everybody else it is as it was')
    await client.query('commit')
    assert.equal(owner.explain("select slug('a')").node, primary())
    await again('the catalogue has been read again', () => /VOLATILE/.test(owner.explain("select slug('a')").reason))
    await client.query('alter function slug(text) immutable')
    client.release()
    await again('it is harmless again', async () => {
      await owner.query('select 1')
      return owner.explain("select slug('a')").node !== primary()
    })
  })

  it('definitions made by others are found out by a refusal', async () => {
    const pool = await ready()
    await admin.query('create unlogged table newcomer (a int); grant select on newcomer to public')
    await Promise.all([cluster.caughtUp(1, 0), cluster.caughtUp(2, 0)])
    await pool.query('select a, 1 from newcomer')
    assert.deepEqual(
      pool.retriedOnPrimary().map(({ code, served }) => [code, served]),
      [['0A000', 1]]
    )
    await again('the catalogue has been read again', async () => {
      await pool.query('select 1')
      return /unlogged/.test(pool.explain('select a, 2 from newcomer').reason)
    })
  })

  it('without the right to read it, functions are unknown and everything else goes on', async () => {
    await admin.query('revoke select on pg_policy from public')
    await Promise.all([cluster.caughtUp(1, 0), cluster.caughtUp(2, 0)])
    try {
      const pool = await ready()
      assert.notEqual(pool.explain('select item from orders').node, primary())
      const { node, reason } = pool.explain("select slug('a')")
      assert.equal(node, primary())
      assert.match(reason, /catalogue cannot be read: permission denied/)
    } finally {
      await admin.query('grant select on pg_policy to public')
    }
  })

  it('is read under settings of its own, whatever the role has: no limit of time, no JIT', async () => {
    const { user, password, database, host = '127.0.0.1', port = 0 } = cluster.config(0)
    const config = { user, password, database, host, port, options: '-c jit=on -c statement_timeout=60s' }
    const ask = connectionQuestion(systemClock, () => config, null)
    const address = { host, port, servername: null, origin: 'configured' } as const
    const text = "select current_setting('jit') as jit, current_setting('statement_timeout') as timeout"
    const [rows] = await ask(address, [text], 5000, new AbortController().signal)
    assert.deepEqual(rows, [{ jit: 'off', timeout: '0' }])
  })
})
