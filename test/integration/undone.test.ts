// What a server really takes back of what it refuses, and what it has committed when its answer is lost: each outcome beside
// the rows that are there.

import assert from 'node:assert/strict'
import type { Client } from 'pg'
import { CATALOGUE } from '../../src/herd/catalogue-sql.js'
import type { Pool, PoolClient, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { Cutter } from '../support/cutter.js'
import { failed } from '../support/failed.js'
import { endPools, eventually, poolOn, tracked } from '../support/pools.js'
import { Relay } from '../support/relay.js'

describe('what is undone, and what is committed', () => {
  let cluster: Cluster
  let admin: Client
  let apart: string
  before(async () => {
    cluster = await startCluster({ replicas: 0, settings: { max_prepared_transactions: '5' } })
    admin = await cluster.connect(0, 'postgres')
    await admin.query(`create extension dblink; create table items (id int); create table pairs (id int);
      create table deferred (id int unique deferrable initially deferred); create sequence numbers;
      create procedure half(int) language plpgsql as $$ begin insert into items values ($1); commit; perform 1/0; end $$`)
    const { host, port, database, user } = cluster.config(0, 'postgres')
    apart = `'host=${host} port=${port} dbname=${database} user=${user}'`
    const { password } = cluster.config(0, 'postgres')
    if (typeof password === 'string') apart = apart.replace(/'$/, ` password=${password}'`)
  })
  after(() => cluster.destroy())
  beforeEach(async () => {
    await admin.query("truncate items, pairs, deferred; insert into pairs values (1), (1); select setval('numbers', 1)")
  })
  afterEach(async () => {
    await endPools()
  })

  /** One server that is waited for, so that whatever may run again does. */
  function patient(options: PoolConfig = {}): Pool {
    const { host, port, user, password, database } = cluster.config(0, 'postgres')
    return tracked({ host, port, user, password, database, failoverTimeoutMillis: 10_000, max: 2, ...options })
  }
  const rows = async () => (await admin.query('select id from items order by 1')).rows.map(({ id }) => id)
  const held = async (pool: Pool, work: (client: PoolClient) => Promise<void>) => {
    const client = await pool.connect()
    client.on('error', () => {})
    try {
      await work(client)
    } finally {
      client.release(true)
    }
  }
  /** Ends the session that runs this text, when it has come to what it waits for. */
  async function terminate(text: string): Promise<void> {
    const mine = "from pg_stat_activity where query = $1 and (wait_event = 'PgSleep' or wait_event_type = 'Lock')"
    await eventually('it waits', async () => (await admin.query(`select 1 ${mine}`, [text])).rowCount === 1)
    await admin.query(`select pg_terminate_backend(pid) ${mine}`, [text])
  }

  describe('refused by the server', () => {
    const cases: readonly (readonly [
      what: string,
      text: string | (() => string),
      outcome: string,
      found: string,
      expected: unknown,
    ])[] = [
      [
        'an insert',
        'insert into items select 1/(n - 2) from generate_series(1, 2) as n',
        'rolled-back',
        'select count(*)::int as n from items',
        0,
      ],
      [
        'CREATE UNIQUE INDEX CONCURRENTLY leaves an invalid index',
        'create unique index concurrently broken on pairs (id)',
        'unknown',
        "select count(*)::int as n from pg_index where not indisvalid and indexrelid = 'broken'::regclass",
        1,
      ],
      [
        'CREATE UNIQUE INDEX',
        'create unique index whole on pairs (id)',
        'rolled-back',
        "select count(*)::int as n from pg_class where relname = 'whole'",
        0,
      ],
      [
        'dblink_exec',
        () => `select dblink_exec(${apart}, 'insert into items values (1)'), 1/(n - 1) from generate_series(1, 1) as n`,
        'unknown',
        'select count(*)::int as n from items',
        1,
      ],
      [
        'setval',
        "select setval('numbers', 77), 1/(n - 1) from generate_series(1, 1) as n",
        'unknown',
        'select last_value::int as n from numbers',
        77,
      ],
      [
        'nextval',
        "insert into items select nextval('numbers')/(n - 1) from generate_series(1, 1) as n",
        'rolled-back',
        'select count(*)::int as n from items',
        0,
      ],
      [
        'COPY TO PROGRAM',
        () => `copy (select 1) to program 'cat > ${MARK}; false'`,
        'unknown',
        `select (pg_stat_file('${'MARK'}', true)).size::int as n`,
        2,
      ],
      ['CALL', 'call half(1)', 'unknown', 'select count(*)::int as n from items', 1],
      [
        'several in one text',
        'insert into items values (1); select 1/0',
        'rolled-back',
        'select count(*)::int as n from items',
        0,
      ],
      [
        'several and a COMMIT',
        'insert into items values (1); commit; select 1/0',
        'unknown',
        'select count(*)::int as n from items',
        1,
      ],
      [
        'a deferred constraint',
        'insert into deferred values (1), (1)',
        'rolled-back',
        'select count(*)::int as n from deferred',
        0,
      ],
      [
        'CREATE DATABASE in a text of several',
        'insert into items values (1); create database never',
        'rolled-back',
        'select count(*)::int as n from items',
        0,
      ],
    ]
    const MARK = `/tmp/pgherd-undone-${process.pid}`
    for (const [what, text, outcome, found, expected] of cases) {
      it(`${what}: ${outcome}`, async () => {
        const sql = typeof text === 'string' ? text : text()
        const pool = patient()
        assert.equal((await failed(pool.query(sql))).outcome, outcome)
        const { rows } = await admin.query<{ n: number }>(found.replace('MARK', MARK))
        assert.equal(rows[0]?.n, expected)
        // On a client it is the same.
        const client = await pool.connect()
        const told = (await failed(client.query(sql.replace('broken', 'broken_too')))).outcome
        client.release(true)
        assert.equal(told, outcome)
        if (sql.includes('program')) await admin.query(`copy (select 1) to program 'rm -f ${MARK}'`)
      })
    }

    for (const code of ['MY001', '57P01', '22012']) {
      it(`a deferred trigger that raises ${code}, in the extended protocol: rolled-back, on a client too`, async () => {
        await admin.query(`create table late (id int);
          create function refuse() returns trigger language plpgsql as $$ begin raise 'no' using errcode = '${code}'; end $$;
          create constraint trigger late after insert on late deferrable initially deferred
            for each row execute function refuse()`)
        const pool = patient()
        const client = await pool.connect()
        try {
          for (const on of [pool, client]) {
            const { outcome } = await failed(on.query('insert into late values ($1)', [1]))
            assert.deepEqual([outcome, (await admin.query('select from late')).rowCount], ['rolled-back', 0])
          }
        } finally {
          client.release()
          await admin.query('drop table late; drop function refuse')
        }
      })
    }

    it('in a block all of it is undone with that, but for what acts outside', async () => {
      const client = await patient().connect()
      for (const [text, outcome] of [
        ['do $$ begin perform 1/0; end $$', 'rolled-back'],
        ["select setval('numbers', 5), 1/(n - 1) from generate_series(1, 1) as n", 'unknown'],
        ['call half(1)', 'rolled-back'],
      ] as const) {
        await client.query('begin')
        assert.equal((await failed(client.query(text))).outcome, outcome, text)
        await client.query('rollback')
      }
      client.release()
      assert.deepEqual(await rows(), [])
    })
  })

  describe('ended by a stop of its session (57P01)', () => {
    const blocked = async (lock: string, text: string): Promise<Promise<unknown>> => {
      const other = await cluster.connect(0, 'postgres')
      await other.query(lock)
      const work = patient().query(text)
      work.catch(() => {})
      await terminate(text)
      await other.query('commit')
      await other.end()
      return work
    }

    it('an insert runs again, once, also with a number from a sequence', async () => {
      const text = "insert into items select nextval('numbers') from pairs limit 1"
      await blocked('begin; lock table pairs in access exclusive mode', text)
      await eventually('it is there', async () => (await rows()).length === 1)
    })

    it('VACUUM and ANALYZE run again', async () => {
      for (const text of ['vacuum items', 'analyze items']) {
        await await blocked('begin; lock table items in access exclusive mode', text)
      }
    })

    it('several in one text run again, as a whole', async () => {
      const text = 'insert into items values (1); insert into items select 2 from pairs limit 1'
      await await blocked('begin; lock table pairs in access exclusive mode', text)
      assert.deepEqual(await rows(), [1, 2])
    })

    it('what has acted outside does not', async () => {
      const texts = [
        `select dblink_exec(${apart}, 'insert into items values (1)'), count(*) from pairs, pg_sleep(60)`,
        `do $$ begin insert into items values (2); commit; perform pg_sleep(60); end $$`,
      ]
      for (const text of texts) {
        const work = patient().query(text.replace(', count(*) from pairs, pg_sleep(60)', ', pg_sleep(60)'))
        work.catch(() => {})
        await terminate(text.replace(', count(*) from pairs, pg_sleep(60)', ', pg_sleep(60)'))
        const { code, outcome } = await failed(work)
        assert.deepEqual([code, outcome], ['57P01', 'unknown'])
      }
      assert.deepEqual(await rows(), [1, 2])
    })

    it('REINDEX CONCURRENTLY does not, and leaves its index', async () => {
      await admin.query('create index slow on items (id)')
      const other = await cluster.connect(0, 'postgres')
      await other.query('begin isolation level repeatable read; select * from items')
      const text = 'reindex index concurrently slow'
      const work = patient().query(text)
      work.catch(() => {})
      await terminate(text)
      await other.query('commit')
      await other.end()
      const { code, outcome } = await failed(work)
      assert.deepEqual([code, outcome], ['57P01', 'unknown'])
      const left = await admin.query("select 1 from pg_class where relname like 'slow_ccnew%'")
      assert.equal(left.rowCount, 1)
      await admin.query('drop index slow; drop index if exists slow_ccnew')
    })
  })

  describe('without an answer', () => {
    let relay: Relay
    beforeEach(async () => {
      relay = await Relay.start(cluster.node(0))
    })
    afterEach(() => relay.close())

    const cases: readonly (readonly [
      before: readonly string[],
      text: string,
      outcome: string,
      found: readonly number[],
    ])[] = [
      [[], 'insert into items values (1)', 'unknown', [1]],
      [[], 'begin; insert into items values (1)', 'rolled-back', []],
      [[], 'set lock_timeout to 5', 'rolled-back', []],
      [['begin', 'insert into items values (1)'], 'rollback; insert into items values (2)', 'unknown', [2]],
      [['begin', 'insert into items values (1)'], 'rollback', 'rolled-back', []],
      [['begin', 'insert into items values (1)'], '/* c */ end and chain', 'unknown', [1]],
      [['begin', 'insert into items values (1)'], 'commit; begin; insert into items values (2)', 'unknown', [1]],
      [['begin', 'insert into items values (1)'], 'insert into items values (2)', 'rolled-back', []],
      [['begin', 'insert into items values (1)'], "prepare transaction 'it'", 'unknown', []],
      [['begin', 'insert into items values (1)', 'savepoint a'], 'rollback to a', 'rolled-back', []],
      [['start transaction', 'insert into items values (1)'], 'abort work and chain', 'rolled-back', []],
      [['begin', 'select 1/0', 'rollback and chain', 'insert into items values (3)'], 'end work', 'unknown', [3]],
      [['begin', 'insert into items values (1)', 'select 1/0'], 'commit', 'rolled-back', []],
    ]
    for (const [before, text, outcome, found] of cases) {
      it(`${[...before, text].join(' | ')}: ${outcome}`, async () => {
        let pid: unknown
        await held(patient({ host: relay.host, port: relay.port }), async (client) => {
          for (const each of before) await client.query(each).catch(() => {})
          ;({ processID: pid } = client as unknown as { readonly processID: unknown })
          relay.impose({ silent: ['toClient'] })
          const told = failed(client.query(text))
          const done = "select 1 from pg_stat_activity where pid = $1 and query = $2 and state like 'idle%'"
          await eventually('the server has done it', async () => (await admin.query(done, [pid, text])).rowCount === 1)
          relay.reset()
          assert.equal((await told).outcome, outcome)
        })
        const over = async () =>
          (await admin.query('select 1 from pg_stat_activity where pid = $1', [pid])).rowCount === 0
        await eventually('the session is over', over)
        assert.deepEqual(await rows(), found)
        await admin.query("rollback prepared 'it'").catch(() => {})
      })
    }
  })

  describe('cut between CommandComplete and ReadyForQuery', () => {
    let cutter: Cutter
    beforeEach(async () => {
      cutter = await Cutter.start(cluster.node(0))
    })
    afterEach(() => cutter.close())

    it('a simple query is committed by then, and does not run again', async () => {
      const pool = patient({ host: cutter.host, port: cutter.port })
      await pool.query('select 1')
      cutter.cutWhen('insert into', (types) => types.endsWith('C'))
      assert.equal((await failed(pool.query('insert into items values (1)'))).outcome, 'committed')
      await held(pool, async (client) => {
        cutter.cutWhen('insert into', (types) => types.endsWith('C'))
        assert.equal((await failed(client.query('insert into items values (2)'))).outcome, 'committed')
      })
      assert.deepEqual(await rows(), [1, 2])
    })

    it('one of the extended protocol may not be, and a COMMIT is in both', async () => {
      const pool = patient({ host: cutter.host, port: cutter.port })
      await pool.query('select 1')
      cutter.cutWhen('insert into', (types) => types.endsWith('C'))
      assert.equal((await failed(pool.query('insert into items values ($1)', [1]))).outcome, 'unknown')
      for (const queryMode of ['simple', 'extended']) {
        await held(pool, async (client) => {
          await client.query('begin')
          await client.query('insert into items values (7)')
          cutter.cutWhen('commit', (types) => types.endsWith('C'))
          const commit = client.query({ text: 'commit', queryMode } as { text: string })
          assert.equal((await failed(commit)).outcome, 'committed', queryMode)
        })
      }
      assert.deepEqual(
        (await rows()).filter((id) => id === 7),
        [7, 7]
      )
    })

    it('of several in one text the last one counts', async () => {
      const pool = patient({ host: cutter.host, port: cutter.port })
      await pool.query('select 1')
      const text = 'insert into items values (1); insert into items values (2)'
      cutter.cutWhen('insert into', (types) => types.endsWith('C'))
      assert.equal((await failed(pool.query(text))).outcome, 'unknown')
      cutter.cutWhen('insert into', (types) => types.endsWith('CC'))
      assert.equal((await failed(pool.query(text))).outcome, 'committed')
    })
  })

  describe('answered, and not readable', () => {
    const throwing = (code: string) => () => {
      throw Object.assign(new Error(`a parser's own ${code}`), { code })
    }
    for (const code of ['22007', '57P01', 'ECONNRESET', '25006', '40001']) {
      it(`${code} of a type parser behind a committed insert: committed, once`, async () => {
        const pool = patient({ types: { getTypeParser: (() => throwing(code)) as never } })
        const returning = 'insert into items values (1) returning id'
        assert.equal((await failed(pool.query(returning))).outcome, 'committed')
        assert.deepEqual(await rows(), [1])
        assert.equal((await failed(pool.query('insert into items values ($1) returning id', [2]))).outcome, 'committed')
        const client = await pool.connect()
        assert.equal((await failed(client.query(returning))).outcome, 'committed')
        await client.query('begin')
        assert.equal((await failed(client.query(returning))).outcome, 'unknown')
        await client.query('rollback')
        client.release()
        assert.deepEqual(await rows(), [1, 1, 2])
      })
    }
  })

  describe('transaction()', () => {
    const CHAINED = 'commit and chain'
    const cases: readonly (readonly [
      what: string,
      work: (client: PoolClient) => Promise<unknown>,
      outcome: string,
      found: readonly number[],
    ])[] = [
      [
        'commits and chains, then fails',
        async (client) => {
          await client.query('insert into items values (1)')
          await client.query(CHAINED)
          await client.query('insert into items values (2)')
          throw new Error('no')
        },
        'unknown',
        [1],
      ],
      [
        'commits and chains, then a statement fails',
        async (client) => {
          await client.query('insert into items values (1)')
          await client.query('/* c */ end and chain')
          await client.query('select 1/0')
        },
        'unknown',
        [1],
      ],
      [
        'does not wait for what it sends',
        async (client) => {
          void client.query('insert into items values (1)')
          void client.query('commit')
          throw new Error('no')
        },
        'unknown',
        [1],
      ],
      [
        'rolls back and writes alone',
        async (client) => {
          await client.query('rollback; insert into items values (1)')
          await client.query('begin')
          throw new Error('no')
        },
        'unknown',
        [1],
      ],
      [
        'rolls back and chains',
        async (client) => {
          await client.query('insert into items values (1)')
          await client.query('rollback and chain')
          throw new Error('no')
        },
        'rolled-back',
        [],
      ],
      [
        'cannot read a row',
        async (client) => {
          client.setTypeParser(23, () => {
            throw new Error('no number')
          })
          await client.query('insert into items values (1) returning id')
        },
        'rolled-back',
        [],
      ],
      [
        'acts outside',
        async (client) => {
          await client.query("select setval('numbers', 5)")
          throw new Error('no')
        },
        'unknown',
        [],
      ],
      [
        'calls what it may',
        async (client) => {
          await client.query('do $$ begin insert into items values (1); end $$')
          throw new Error('no')
        },
        'rolled-back',
        [],
      ],
    ]
    for (const [what, work, outcome, found] of cases) {
      it(`${what}: ${outcome}`, async () => {
        assert.equal((await failed(patient().transaction(work))).outcome, outcome)
        assert.deepEqual(await rows(), found)
      })
    }
  })

  it('pipelined, all that was sent counts', async () => {
    const relay = await Relay.start(cluster.node(0))
    try {
      for (const [last, outcome] of [
        ['insert into items values (2)', 'rolled-back'],
        ['commit', 'unknown'],
      ] as const) {
        const pool = patient({ host: relay.host, port: relay.port, pipeline: true } as PoolConfig)
        const client = await pool.connect()
        client.on('error', () => {})
        await client.query('begin')
        const fault = relay.impose({ silent: ['toServer'] })
        const sent = [client.query('insert into items values (1)'), client.query(last)].map(failed)
        await eventually(
          'both are sent',
          () => (client as unknown as { _sentQueryQueue: unknown[] })._sentQueryQueue.length === 1
        )
        relay.reset()
        fault.lift('reset')
        assert.deepEqual(
          (await Promise.all(sent)).map((error) => error.outcome),
          [outcome, outcome]
        )
        client.release(true)
        assert.deepEqual(await rows(), [])
      }
    } finally {
      await relay.close()
    }
  })
})

describe('one error, and what it says of several statements', () => {
  let cluster: Cluster
  let admin: Client
  let cutter: Cutter
  let pool: Pool
  before(async () => {
    cluster = await startCluster({ replicas: 0 })
    admin = await cluster.connect(0, 'postgres')
    await admin.query('create table items (id int)')
    cutter = await Cutter.start(cluster.node(0))
  })
  after(async () => {
    await cutter.close()
    await cluster.destroy()
  })
  beforeEach(async () => {
    await admin.query('truncate items')
    const { user, password, database } = cluster.config(0, 'postgres')
    pool = tracked({ host: cutter.host, port: cutter.port, user, password, database, max: 1 })
  })
  afterEach(endPools)
  const rows = async () => (await admin.query('select id from items order by 1')).rows.map(({ id }) => id)
  const outcomes = async (...texts: readonly string[]) => {
    const client = await pool.connect()
    client.on('error', () => {})
    const all = await Promise.all(texts.map((text) => failed(client.query(text))))
    client.release(true)
    return all.map(({ outcome }) => outcome)
  }

  it('committed, and in line behind it: unknown', async () => {
    cutter.cutWhen('(1)', (types) => types.endsWith('C'))
    const found = await outcomes('insert into items values (1)', 'insert into items values (2)')
    assert.deepEqual([found, await rows()], [['unknown', 'unknown'], [1]])
  })

  it('refused, and the connection ends before what is in line: not-sent', async () => {
    cutter.cutWhen('1/0', (types) => types.endsWith('E'))
    const found = await outcomes('select 1/0', 'insert into items values (2)')
    assert.deepEqual([found, await rows()], [['rolled-back', 'not-sent'], []])
  })

  it('transaction(), whose function had committed a part: unknown', async () => {
    const cut = pool.transaction(async (client) => {
      client.on('error', () => {})
      await client.query('insert into items values (1)')
      await client.query('commit')
      cutter.cutWhen('commit', (types) => types.endsWith('C') || types.endsWith('N'))
    })
    assert.equal((await failed(cut)).outcome, 'unknown')
    const swallowing = pool.transaction(async (client) => {
      await client.query('insert into items values (2); commit; begin')
      await client.query('select 1/0').catch(() => {})
    })
    const { code, outcome } = await failed(swallowing)
    assert.deepEqual([code, outcome, await rows()], ['PGHERD_ROLLED_BACK', 'unknown', [1, 2]])
  })
})

describe('what is undone, as the catalogue has it', () => {
  let cluster: Cluster
  let admin: Client
  let pool: Pool
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    admin = await cluster.connect(0, 'postgres')
    const { host, port, database, user, password } = cluster.config(0, 'postgres')
    const server = `host=${host} port=${port} dbname=${database} user=${user} password=${String(password)}`
    await admin.query(`create extension dblink; create table items (id int); create table audited (id int);
      create function apart(int) returns int language plpgsql as $$ begin
        perform dblink_exec('${server}', 'insert into items values (' || $1 || ')'); return $1; end $$;
      create function over_it(int) returns int language sql as $$ select apart($1) $$;
      create function audit() returns trigger language plpgsql as $$ begin perform over_it(new.id); return new; end $$;
      create trigger audit before insert on audited for each row execute function audit();
      create function plain(int) returns int language plpgsql as $$ begin insert into items values ($1); return $1; end $$;
      create view acting as select apart(3) as id`)
    await cluster.caughtUp(1, 0)
    pool = poolOn(cluster, { maxLagMillis: Infinity }, 'postgres')
    await pool.ready({ replicas: 1 })
  })
  after(async () => {
    await endPools()
    await cluster.destroy()
  })
  beforeEach(() => admin.query('truncate items, audited'))

  it('says the same where standard_conforming_strings is off', async () => {
    const { rows } = await admin.query(CATALOGUE)
    await admin.query('set standard_conforming_strings = off; set escape_string_warning = off')
    try {
      assert.deepEqual((await admin.query(CATALOGUE)).rows, rows)
    } finally {
      await admin.query('reset all')
    }
    const acting = rows.filter(({ kind }) => kind === 'acting').map(({ name }) => name)
    for (const name of ['apart', 'over_it', 'audit']) assert.ok(acting.includes(name), name)
  })

  for (const [text, outcome] of [
    ['select apart(1), pg_sleep(60)', 'unknown'],
    ['select over_it(2), pg_sleep(60)', 'unknown'],
    ['select id, pg_sleep(60) from acting', 'unknown'],
    ['insert into audited values (4) returning pg_sleep(60)', 'unknown'],
    ['with x as (insert into audited values (5) returning 1) select pg_sleep(60) from x', 'unknown'],
  ] as const) {
    it(`${text}: not again, ${outcome}`, async () => {
      const work = pool.query(text)
      work.catch(() => {})
      const mine = "from pg_stat_activity where query = $1 and wait_event = 'PgSleep'"
      await eventually('it waits', async () => (await admin.query(`select 1 ${mine}`, [text])).rowCount === 1)
      await admin.query(`select pg_terminate_backend(pid) ${mine}`, [text])
      const error = await failed(work)
      assert.deepEqual([error.code, error.outcome], ['57P01', outcome])
      assert.equal((await admin.query('select 1 from items')).rowCount, 1)
    })
  }

  describe('what is reached through other objects', () => {
    const division = '1/(2 - n) from generate_series(1, 2) as n'
    const REACHED: readonly string[] = [
      'select loud()::int, 1/(n - 1) from generate_series(1, 1) as n',
      `insert into in_domains select ${division}`,
      'select n::counted, 1/(n - 1) from generate_series(1, 1) as n',
      'delete from parents; select 1/0',
      `insert into over_triggers select ${division}`,
      'insert into with_rules values (1); select 1/0',
      `insert into checked select ${division}`,
      `insert into sometimes select ${division}`,
      'refresh materialized view kept; select 1/0',
      'select summed(n), 1/(max(n) - 1) from generate_series(1, 1) as n',
      'select n #># n, 1/(n - 1) from generate_series(1, 1) as n',
      'select row(n)::boxed::int, 1/(n - 1) from generate_series(1, 1) as n',
    ]
    before(async () => {
      await admin.query(`create sequence moved;
        create function moves() returns int language plpgsql as $$ begin perform setval('public.moved', 77); return 1; end $$;
        create function loud() returns int language plpgsql as $$ BEGIN RETURN MOVES(); END $$;
        create domain counted as int check (moves() = 1); create table in_domains (id counted);
        create table parents (id int primary key);
        create table children (id int references parents on delete cascade);
        create function before() returns trigger language plpgsql as $$ begin perform moves(); return coalesce(new, old); end $$;
        create trigger before before delete on children for each row execute function before();
        create table with_triggers (id int); create view over_triggers as select * from with_triggers;
        create trigger before before insert on with_triggers for each row execute function before();
        create table with_rules (id int); create rule also as on insert to with_rules do also insert into with_triggers values (1);
        create table checked (id int check (moves() = 1));
        create table sometimes (id int);
        create function nothing() returns trigger language plpgsql as $$ begin return new; end $$;
        create trigger sometimes before insert on sometimes for each row when (moves() = 2) execute function nothing();
        create materialized view kept as select moves() with no data;
        create function adds(int, int) returns int language plpgsql as $$ begin return moves(); end $$;
        create aggregate summed(int) (sfunc = adds, stype = int, initcond = '0');
        create operator #># (leftarg = int, rightarg = int, procedure = adds);
        create type boxed as (a int);
        create function unboxed(boxed) returns int language plpgsql as $$ begin return moves(); end $$;
        create cast (boxed as int) with function unboxed(boxed)`)
      await cluster.caughtUp(1, 0)
      await endPools()
      pool = poolOn(cluster, { maxLagMillis: Infinity }, 'postgres')
      await pool.ready({ replicas: 1 })
    })
    beforeEach(() =>
      admin.query(
        "select setval('moved', 1); truncate parents cascade; insert into parents values (1); insert into children values (1)"
      )
    )
    for (const text of REACHED) {
      it(`${text}: unknown`, async () => {
        const error = await failed(pool.query(text))
        const { rows } = await admin.query('select last_value::int as n from moved')
        assert.deepEqual([error.code, error.outcome, rows[0]?.n], ['22012', 'unknown', 77])
      })
    }
  })

  it('a function that keeps to its transaction runs again, once', async () => {
    const other = await cluster.connect(0, 'postgres')
    await other.query('begin; lock table items in access exclusive mode')
    const text = 'select plain(7)'
    const work = pool.query(text)
    const mine = "from pg_stat_activity where query = $1 and wait_event_type = 'Lock'"
    await eventually('it waits', async () => (await admin.query(`select 1 ${mine}`, [text])).rowCount === 1)
    await admin.query(`select pg_terminate_backend(pid) ${mine}`, [text])
    await other.query('commit')
    await work
    assert.equal((await admin.query('select 1 from items')).rowCount, 1)
  })
})
