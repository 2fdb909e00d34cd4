// READ ONLY transactions that a client's replica cannot finish: moved to the primary, or chained, they go on as on pg.Pool, with
// all that was said to them before.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import pg, { type PoolClient, type QueryConfig } from 'pg'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endOracles, oracleOn } from '../support/oracle.js'
import { play, type Step } from '../support/play.js'
import { endPools, keyOf, poolOn, served } from '../support/pools.js'

const TENANT = "select set_config('app.tenant', $1, true)"
const BILLS = 'select n from bills order by n'

/** As sql-template-tag has it. */
class Tag {
  readonly values: readonly unknown[]
  constructor(values: readonly unknown[]) {
    this.values = values
  }
  get text() {
    return TENANT
  }
}

const calledBack: Step = (client: PoolClient) =>
  new Promise((resolve, reject) => {
    let calls = 0
    client.query(TENANT, ['b'], (error, result) => (error ? reject(error) : resolve([++calls, result.rows])))
  })

const queryObject: Step = async (client: PoolClient) => {
  const query = new pg.Query({ text: TENANT, values: ['b'] })
  const ended = once(query, 'end')
  client.query(query)
  return (await ended)[0].rows
}

/** What is said to a transaction before it needs the primary. */
const SHAPES: Readonly<Record<string, readonly Step[]>> = {
  'a setting with values': [[TENANT, ['b']]],
  'a setting with values in a config': [[{ text: TENANT, values: ['b'] }]],
  'a setting in arrays': [[{ text: TENANT, values: ['b'], rowMode: 'array' }]],
  'a prepared setting': [[{ name: 'tenant', text: TENANT, values: ['b'] }]],
  'a prepared setting, twice': [
    [{ name: 'tenant', text: TENANT, values: ['a'] }],
    [{ name: 'tenant', text: TENANT, values: ['b'] }],
  ],
  'a setting whose text is a getter of a prototype': [[new Tag(['b'])]],
  'a setting with a callback': [calledBack],
  'a setting of a query object': [queryObject],
  'a setting whose name is a value, too': [['select set_config($1, $2, true)', ['app.tenant', 'b']]],
  'two settings in a statement': [
    ["select set_config('app.tenant', $1, true), set_config('app.other', $2, true)", ['b', 'c']],
  ],
  'a setting, and another value of it': [
    [TENANT, ['a']],
    [TENANT, ['b']],
  ],
  'SET LOCAL': ["set local app.tenant = 'b'"],
  'SET LOCAL, and a setting with values': ["set local app.tenant = 'a'", [TENANT, ['b']], 'set local work_mem = 1234'],
  'a setting behind a savepoint': ['savepoint one', [TENANT, ['b']]],
  'a setting that a savepoint took back': [
    [TENANT, ['b']],
    'savepoint one',
    [TENANT, ['a']],
    'rollback to savepoint one',
  ],
  'a setting of a released savepoint': ['savepoint one', [TENANT, ['b']], 'release savepoint one'],
  'a setting behind an error': [[TENANT, ['b']], 'savepoint one', 'select 1/0', 'rollback to savepoint one'],
  constraints: ['set constraints all deferred', [TENANT, ['b']]],
  'an isolation of its own': ['set transaction isolation level repeatable read', [TENANT, ['b']]],
}

/** With a snapshot these would keep a REPEATABLE READ transaction where it is. */
const READING: Readonly<Record<string, readonly Step[]>> = {
  'a setting, and a read': [[TENANT, ['b']], 'select drink from drinks'],
  'a read, and a setting': ['select drink from drinks', [TENANT, ['b']]],
  'a setting in a read': [["select drink, set_config('app.tenant', $1, true) from drinks", ['b']]],
  'a prepared read before it': [
    [{ name: 'drinks', text: 'select drink from drinks where drink = $1', values: ['tea'] }],
    [TENANT, ['b']],
  ],
}

/** What only the primary can do, or is asked for there. */
const MOVES: Readonly<Record<string, Step>> = {
  'a read under row-level security': BILLS,
  'a question for the position': 'select pg_current_wal_lsn() is not null as there',
  'SHOW transaction_read_only': 'show transaction_read_only',
}

const COMMITTED = ['begin read only', 'start transaction isolation level read committed, read only'] as const
const REPEATABLE = ['begin isolation level repeatable read read only'] as const

/** The state in full: what the transaction is, what it sees, and where. */
const STATE: readonly Step[] = [
  'show transaction_isolation',
  'show transaction_read_only',
  "select current_setting('app.tenant', true) as tenant, current_setting('app.other', true) as other",
  'show work_mem',
  BILLS,
  'select inet_server_port()::text as port',
]
const AFTER: readonly Step[] = [
  'commit',
  "select nullif(current_setting('app.tenant', true), '') as tenant",
  BILLS,
  'show transaction_isolation',
]

const OPTIONS: PoolConfig = { maxLagMillis: Infinity, readYourWrites: 'off' }

describe('a READ ONLY transaction that moves to the primary', () => {
  let cluster: Cluster
  let pool: Pool
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    const admin = await cluster.connect(0, 'postgres')
    await admin.query(`create table bills (tenant text, n int); insert into bills values ('a', 1), ('b', 2), ('b', 3);
      alter table bills enable row level security; create table drinks (drink text); insert into drinks values ('tea');
      create policy own on bills using (tenant = current_setting('app.tenant', true));
      grant all on bills, drinks to public`)
    await cluster.caughtUp(1, 0)
  })
  beforeEach(async () => {
    pool = poolOn(cluster, OPTIONS)
    await pool.ready({ replicas: 1 })
  })
  afterEach(() => Promise.all([endPools(), endOracles()]))
  after(() => cluster.destroy())

  const borrowed = () => served(pool)[keyOf(cluster, 1)] ?? 0

  /** As they are, where BEGIN may wait for the first statement and go with it; and with one that is sent to the replica before. */
  async function asOnPg(steps: readonly Step[]): Promise<void> {
    const [opening, ...rest] = steps
    for (const each of [steps, [opening as Step, 'savepoint begun', ...rest]]) {
      assert.deepEqual(await play(pool, each), await play(oracleOn(cluster), each))
    }
    assert.ok(borrowed() > 0, 'it began on the replica')
  }

  const tables = [
    [COMMITTED, { ...SHAPES, ...READING }],
    [REPEATABLE, SHAPES],
  ] as const
  for (const [openings, shapes] of tables) {
    for (const opening of openings) {
      for (const [shape, steps] of Object.entries(shapes)) {
        for (const [move, step] of Object.entries(MOVES)) {
          it(`${opening}: ${shape}, then ${move}`, () => asOnPg([opening, ...steps, step, ...STATE, ...AFTER]))
        }
      }
    }
  }

  it('a statement behind the move fails as on pg, and so does the transaction', () =>
    asOnPg(['begin read only', [TENANT, ['b']], BILLS, 'select 1/0', BILLS, 'rollback', ...STATE]))

  it('a write is refused as on pg', () =>
    asOnPg(['begin read only', [TENANT, ['b']], "insert into drinks values ('salt')", BILLS, 'rollback', ...STATE]))

  it('a statement that said what its values are was sent with them once', async () => {
    const values = ['b']
    const config: QueryConfig = { text: TENANT, values }
    await asOnPg(['begin read only', [config], BILLS, ...AFTER])
    assert.deepEqual(config, { text: TENANT, values: ['b'] })
  })

  it('values that were changed since are those of the time of the call', async () => {
    const steps = (): readonly Step[] => {
      const values = ['b']
      const forget: Step = () => void values.splice(0, 1, 'a')
      return ['begin read only', [TENANT, values], forget, BILLS, ...STATE]
    }
    assert.deepEqual(await play(pool, steps()), await play(oracleOn(cluster), steps()))
    assert.ok(borrowed() > 0)
  })

  describe('AND CHAIN', () => {
    const ENDS = ['commit and chain', 'rollback and chain', 'end work and chain', 'abort transaction and chain']
    const OPENINGS: Readonly<Record<string, readonly Step[]>> = {
      'READ COMMITTED': ['begin read only'],
      'REPEATABLE READ': ['begin isolation level repeatable read read only'],
      'REPEATABLE READ, said behind BEGIN': ['begin read only', 'set transaction isolation level repeatable read'],
      DEFERRABLE: ['begin isolation level repeatable read, read only, deferrable'],
    }
    const BEFORE: Readonly<Record<string, readonly Step[]>> = {
      'at once': [],
      'behind a read': ['select drink from drinks'],
      'behind a setting': [[TENANT, ['b']]],
      'behind a setting and the move': [[TENANT, ['b']], BILLS],
      'behind an error': ['select 1/0'],
      'behind the move and an error': [BILLS, 'select 1/0'],
    }
    const NEXT: readonly Step[] = [
      'show transaction_isolation',
      'show transaction_read_only',
      'show transaction_deferrable',
      [TENANT, ['a']],
      BILLS,
      'select drink from drinks',
    ]
    for (const end of ENDS) {
      for (const [opening, steps] of Object.entries(OPENINGS)) {
        for (const [when, before] of Object.entries(BEFORE)) {
          it(`${end}: ${opening}, ${when}`, () => asOnPg([...steps, ...before, end, ...NEXT, 'commit', ...STATE]))
        }
      }
    }

    it('of a chain of three', () =>
      asOnPg([
        'begin isolation level repeatable read read only',
        'select drink from drinks',
        'commit and chain',
        'select drink from drinks',
        'rollback and chain',
        'show transaction_isolation',
        'show transaction_read_only',
        'commit and no chain',
        ...STATE,
      ]))

    it('each transaction of the chain has its own snapshot', async () => {
      const admin = await cluster.connect(0, 'postgres')
      const add: Step = async () => {
        await admin.query("insert into drinks values ('milk')")
        await cluster.caughtUp(1, 0)
      }
      const remove: Step = async () => {
        await admin.query("delete from drinks where drink = 'milk'")
        await cluster.caughtUp(1, 0)
      }
      const read = 'select drink from drinks order by drink'
      const begin = 'begin isolation level repeatable read read only'
      await asOnPg([begin, read, add, read, 'commit and chain', read, remove, read, 'commit', read])
    })
  })
})
