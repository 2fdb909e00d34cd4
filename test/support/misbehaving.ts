// A program in which one function of the application misbehaves in every way, each with a pool of its own. It prints one line of
// JSON for each, and must get to its end. Run as a child process by a test.

import { Pool, type PoolConfig, replication } from '../../src/index.js'
import { type Expectation, FUNCTIONS, type FunctionName, type Result, WAYS, type WayName } from './misbehaviour.js'

type Listener = (...args: unknown[]) => unknown

const frozen = Object.freeze(new Error('frozen'))
const opaque = {
  get code(): string {
    throw new Error('no code')
  },
  get message(): string {
    throw new Error('no message')
  },
  [Symbol.toPrimitive]() {
    throw new Error('no text')
  },
}
const refuse = (): never => {
  throw new Error('no trap lets anything through')
}
const proxy = new Proxy({}, { get: refuse, has: refuse, getPrototypeOf: refuse, isExtensible: refuse })

const thrower = (thrown: unknown) => () => () => {
  throw thrown
}
const plain = new Error('plain')
const coded = Object.assign(new Error('coded'), { code: '57P01', severity: 'FATAL' })

/** What the function throws, or does; made for one pool. */
const DOES: Readonly<Record<WayName, (pool: () => Pool) => Listener>> = {
  'throws an error': thrower(plain),
  'throws an error with a code of the server’s': thrower(coded),
  'throws a frozen error': thrower(frozen),
  'throws undefined': thrower(undefined),
  'throws null': thrower(null),
  'throws a string': thrower('a string'),
  'throws what cannot be read': thrower(opaque),
  'throws a proxy that refuses everything': thrower(proxy),
  rejects: () => () => Promise.reject(plain),
  'rejects with undefined': () => () => Promise.reject(undefined),
  'returns nothing': () => () => undefined,
  'returns garbage': () => () => ({ host: 5, port: {}, key: 'x' }),
  'returns a promise': () => () => Promise.resolve(7),
  'never settles': () => () => new Promise(() => {}),
  'calls the pool': (pool) => () => {
    pool().explain('select 1')
    pool().topology()
    void pool()
      .query('select 1')
      .catch(() => {})
    void pool()
      .connect()
      .then((client) => client.release())
      .catch(() => {})
    void pool()
      .view({ route: 'replica' })
      .query('select 1')
      .catch(() => {})
    return undefined
  },
  'ends the pool': (pool) => () => {
    void pool()
      .end()
      .catch(() => {})
    return undefined
  },
}

const THROWN: readonly unknown[] = [plain, coded, frozen, 'a string', opaque, proxy]

const { PGHOST = '', PGPORT = '', PGPASSWORD = '' } = process.env
const servers = (): PoolConfig => ({
  host: PGHOST.split(','),
  port: PGPORT.split(',').map(Number),
  maxLagMillis: 10_000,
})
const first = (): PoolConfig => ({ host: PGHOST.split(',')[0], port: Number(PGPORT.split(',')[0]) })
/** Where a replica listens. */
const second = () => ({ host: PGHOST.split(',')[1] ?? '', port: Number(PGPORT.split(',')[1]) })
const silent = (pool: Pool) => pool.on('error', () => {})

function poolOf(name: FunctionName, does: Listener): Pool {
  switch (name) {
    case 'balance':
      return silent(new Pool({ ...servers(), balance: does as never }))
    case 'onDiscover':
      return silent(new Pool({ ...first(), discovery: replication({ address: second }), onDiscover: does as never }))
    case 'address':
      return silent(new Pool({ ...first(), discovery: replication({ address: does as never }) }))
    case 'log':
      return silent(new Pool({ ...servers(), log: does as never }))
    case 'Promise':
      return silent(new Pool({ ...servers(), password: () => PGPASSWORD, Promise: constructing(does) as never }))
    case 'password':
      return silent(new Pool({ ...servers(), password: does as never }))
    case 'onConnect':
      return silent(new Pool({ ...servers(), onConnect: does as never }))
    case 'verify':
      return silent(new Pool({ ...servers(), verify: does as never }))
    case 'topology':
      return silent(new Pool(servers())).on('topology', does)
    default:
      return name satisfies never
  }
}

/** A class whose constructor does that. */
function constructing(does: Listener): unknown {
  return class {
    constructor() {
      does()
    }
  }
}

async function resultOf(work: () => Promise<unknown>): Promise<Result['statements'][number]> {
  try {
    await work()
    return { ok: true }
  } catch (error) {
    const index = THROWN.indexOf(error)
    const { outcome, message } = index === 4 || index === 5 ? {} : ((error ?? {}) as Record<string, unknown>)
    return { ok: false, own: index >= 0, outcome: String(outcome), message: String(message) }
  }
}

const warnings: string[] = []
process.on('warning', (warning) => warnings.push(String((warning as { code?: unknown }).code)))

async function misbehave(name: FunctionName, way: WayName): Promise<void> {
  warnings.length = 0
  let pool: Pool
  let calls = 0
  const act = DOES[way](() => pool)
  const does: Listener = (...args) => {
    calls++
    return act(...args)
  }
  pool = poolOf(name, does)
  const statements = []
  const reads = () => Promise.all(Array.from({ length: 5 }, () => pool.query('select count(*) from items')))
  const taken = async () => {
    const client = await pool.connect()
    client.release()
  }
  for (const work of [() => pool.query('update items set id = id'), reads, taken, reads]) {
    statements.push(await resultOf(async () => void (await work())))
  }
  // It may take a moment until it is asked.
  for (let i = 0; i < 1000 && calls === 0 && !pool.ending; i++) {
    await reads().catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  statements.push(await resultOf(reads))
  await pool.end().catch(() => {})
  await new Promise((resolve) => setImmediate(resolve))
  console.log(JSON.stringify({ way, statements, warnings } satisfies Result & { way: string }))
}

const name = process.argv[2] as FunctionName
const { not = [] }: Expectation = FUNCTIONS[name]
for (const way of WAYS) if (!not.includes(way)) await misbehave(name, way)
console.log('done')
