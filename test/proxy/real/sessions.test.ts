// What a client's session is, through the proxy and on the server itself: seeded scripts of settings, transactions, savepoints, named
// statements, temporary tables and cursors, several clients at a time on few server connections, each beside a twin that has its
// own. Each statement of the two has one answer.

import assert from 'node:assert/strict'
import pg from 'pg'
import { type Cluster, startCluster } from '../../support/cluster.js'
import { type Random, seeded } from '../../support/grammar.js'
import { endProxies, proxyOn, type Served } from '../../support/proxies.js'

const SEED = Number(process.env.PGHERD_TEST_SEED ?? 20261130)
const SCRIPTS = Number(process.env.PGHERD_TEST_SCRIPTS ?? 40)
const CLIENTS = 3
const STEPS = 40

const SETTINGS: Readonly<Record<string, readonly string[]>> = {
  search_path: ["'one'", "'two'", 'one, two', 'default'],
  timezone: ["'UTC'", "'Asia/Tokyo'", "'America/New_York'"],
  datestyle: ["'iso, dmy'", "'sql, mdy'", "'german'"],
  work_mem: ["'8MB'", "'128kB'", '4096'],
  statement_timeout: ["'50s'", '0', '60000'],
  extra_float_digits: ['0', '3', '-5'],
  application_name: ["'a'", "'b c'", "''"],
  bytea_output: ["'hex'", "'escape'"],
  default_transaction_read_only: ['on', 'off'],
  default_transaction_isolation: ["'repeatable read'", "'read committed'", "'serializable'"],
  enable_seqscan: ['on', 'off'],
  standard_conforming_strings: ['on', 'off'],
  'my.own': ["'x'", "'y'"],
}
const NAMES = Object.keys(SETTINGS)

function statement(random: Random): string {
  const name = random.pick(NAMES)
  const value = random.pick(SETTINGS[name] as readonly string[])
  return random.pick([
    () => `set ${name} to ${value}`,
    () => `set ${name} = ${value}`,
    () => `set local ${name} to ${value}`,
    () => `reset ${name}`,
    () => `show ${name === 'my.own' ? 'work_mem' : name}`,
    // What a former session has set and reset is '' in this one, not null.
    () => `select coalesce(current_setting('${name}', true), '')`,
    () => `select set_config('${name}', ${/^'/.test(value) ? value : `'${value}'`}, ${random.chance(0.5)})`,
    () =>
      "select now()::timestamptz(0) is not null, 1.1::float8, date '2020-02-01', '\\x41'::bytea, count(*) from things",
    () => 'select * from things order by id',
    () => random.pick(['begin', 'begin read only', 'begin isolation level repeatable read', 'start transaction']),
    () => random.pick(['commit', 'rollback', 'end', 'abort', 'commit and chain', 'rollback and chain']),
    () => `savepoint ${random.pick(['a', 'b'])}`,
    () => `${random.pick(['rollback to', 'release'])} ${random.pick(['a', 'b'])}`,
    () => random.pick(['select 1/0', 'selec', 'select * from nowhere', 'set nothing to 1', "set work_mem to 'much'"]),
    () =>
      random.pick([
        'create temp table if not exists t (n int)',
        'insert into t values (1)',
        'select count(*) from t',
        'drop table t',
      ]),
    () =>
      random.pick(['prepare p as select 1', 'prepare p as select count(*) from things', 'execute p', 'deallocate p']),
    () => random.pick(['declare c cursor with hold for select 1', 'fetch c', 'close c']),
    () => random.pick(['discard all', 'deallocate all', 'reset all', 'discard temp', 'discard plans']),
    () =>
      random.pick(['select pg_advisory_lock(1)', 'select pg_advisory_unlock(1)', 'select pg_advisory_unlock_all()']),
    () =>
      random.pick([
        'set session characteristics as transaction read only',
        'set transaction read only',
        'show transaction_read_only',
        'show transaction_isolation',
      ]),
    () =>
      random.pick([
        'set role reader',
        'reset role',
        'set role none',
        'select current_user',
        'set session authorization default',
      ]),
    () => random.pick(['listen l', 'unlisten l', 'unlisten *', 'select * from pg_listening_channels()']),
  ])()
}

/** One text. What RESET gives within one is what the proxy has logged in with. */
function severalOf(random: Random, more: number): string {
  const all: string[] = []
  while (all.length <= more) {
    const next = statement(random)
    if (!/^(reset|discard|deallocate all)|default$/.test(next)) all.push(next)
  }
  return all.join('; ')
}

interface Said {
  readonly code?: string | undefined
  readonly command?: string
  readonly rows?: string
}

interface Half {
  readonly client: pg.Client
  run(sql: string, how: number): Promise<Said>
}

async function half(config: pg.ClientConfig): Promise<Half> {
  const client = new pg.Client(config)
  client.on('error', () => {})
  await client.connect()
  return {
    client,
    run: async (text, how) => {
      try {
        const query =
          how === 0
            ? { text }
            : how === 1
              ? { text, values: [] }
              : { text, name: text.slice(0, 60), rowMode: 'array' as const }
        const results = [(await client.query(query)) as pg.QueryResult | pg.QueryResult[]].flat()
        const rows = results.map((each) => (how === 2 ? each.rows : each.rows.map((row) => Object.values(row))))
        return { command: results.map(({ command }) => command).join(), rows: JSON.stringify(rows) }
      } catch (error) {
        const { code } = error as { code?: string }
        return { code }
      }
    },
  }
}

describe('sessions through the proxy', () => {
  let cluster: Cluster

  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    const client = await cluster.connect(0, 'postgres')
    await client.query(`create schema one; create schema two; create role reader; grant reader to app;
      create table one.things (id int); create table two.things (id int); create table public.things (id int);
      insert into one.things values (1); insert into two.things values (2), (2); insert into public.things values (3);
      grant usage on schema one, two to app; grant select on one.things, two.things, public.things to app`)
    await client.end()
    await cluster.caughtUp(1, 0)
  })
  after(async () => {
    await endProxies()
    await cluster.destroy()
  })

  /** So many scripts are answered as by the server. */
  async function holds(served: Served, scripts: number): Promise<void> {
    await served.ready(1)
    const random = seeded(SEED)
    // Sessions of clients that give themselves no name have the proxy's.
    const direct = { ...(cluster.config(0, 'app') as pg.ClientConfig), application_name: 'twin' }
    const through = { ...direct, host: '127.0.0.1', port: served.port }
    for (let script = 0; script < scripts; script++) {
      const pairs = await Promise.all(Array.from({ length: CLIENTS }, () => Promise.all([half(direct), half(through)])))
      const said: string[][] = pairs.map(() => [])
      const isReadOnly = pairs.map(() => false)
      for (let step = 0; step < STEPS; step++) {
        const which = random.below(CLIENTS)
        const several = random.chance(0.15) ? 1 + random.below(3) : 0
        const sql = several === 0 ? statement(random) : severalOf(random, several)
        // A lock that another client has would be waited for, by one of the two.
        const text = sql.replaceAll('lock(1)', `lock(${which})`)
        const how = random.below(3)
        const [one, other] = pairs[which] as [Half, Half]
        ;(said[which] as string[]).push(`${text} -- ${how}`)
        const [expected, actual] = [
          await one.run(text.replaceAll('lock(', 'lock(10 + '), how),
          await other.run(text, how),
        ]
        // State that a replica cannot have is refused in a READ ONLY transaction there. Both begin anew.
        if (actual.code === '25006' && isReadOnly[which]) {
          // DISCARD cannot be in one text with others.
          for (const each of [one, other]) for (const end of ['rollback', 'discard all']) await each.run(end, 0)
          isReadOnly[which] = false
          continue
        }
        if (/^begin read only/.test(text)) isReadOnly[which] = true
        assert.deepEqual(
          actual,
          expected,
          `script ${script}, client ${which}:\n${(said[which] as string[]).join('\n')}`
        )
      }
      for (const [one, other] of pairs) await Promise.all([one.client.end(), other.client.end()])
    }
  }

  it(`seed ${SEED}: ${SCRIPTS} scripts by ${CLIENTS} clients at a time are answered as by the server`, async function () {
    this.timeout(180_000)
    await holds(await proxyOn(cluster, { options: { defaultPoolSize: CLIENTS } }), SCRIPTS)
  })

  it('also in session mode, and where a server connection keeps two statements', async function () {
    this.timeout(180_000)
    const options = { defaultPoolSize: CLIENTS, poolMode: 'session', maxPreparedStatements: 2 } as const
    await holds(await proxyOn(cluster, { options }), Math.ceil(SCRIPTS / 4))
  })
})
