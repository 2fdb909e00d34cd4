// Random programs of statements on one client, and what came of them: to be run against two pools and compared. Made from a
// seed, so that a difference can be made again.

import type { Pool, PoolClient, QueryResult } from 'pg'

/** Statements to be sent without waiting in between; then all their answers are awaited. */
export type Step = readonly Statement[] | 'release'

type Statement =
  | string
  | { readonly text: string; readonly values?: readonly unknown[]; readonly name?: string; readonly rowMode?: 'array' }

/** What every program finds: t in two schemas, so that search_path shows. */
export const SCHEMA = `
  create schema other;
  create table public.t (id int primary key, v text not null);
  create table other.t (id int primary key, v text not null);
  create sequence numbers;
  create function moves_path() returns text language sql as $$ select set_config('search_path', 'other', false) $$;
  create function adds(int) returns int stable language sql as $$ select $1 + 1 $$;
  grant all on schema public, other to public; grant all on all tables in schema public, other to public;
  grant all on all sequences in schema public to public`

export const RESET = `
  delete from public.t; delete from other.t; select setval('public.numbers', 1, false);
  insert into public.t values (1, 'one'), (2, 'two'); insert into other.t values (1, 'other one')`

const READS: readonly Statement[] = [
  'select id, v from t order by id',
  'select count(*)::int as n from t',
  { text: 'select v from t where id = $1', values: [1] },
  { text: 'select id, v from t order by id desc', rowMode: 'array' },
  { text: 'select adds(id) as a from t order by id', name: 'adds' },
  'select adds(count(*)::int) as a from t',
  'table t order by 1',
  'with x as (select max(id) as m from t) select m from x',
  'values (1), (2)',
  'select 1/0',
  'select missing from t',
  'select * from missing',
  'selec 1',
  "select 'é' as e, 1::bigint as b, now() is not null as n, '{1,2}'::int[] as a",
]
const WRITES: readonly Statement[] = [
  "insert into t values (3, 'three')",
  { text: 'insert into t values ($1, $2) returning id', values: [4, 'four'] },
  "insert into t values (1, 'again')",
  "update t set v = v || '!' where id = 1 returning v",
  'delete from t where id = 2',
  'with gone as (delete from t where id = 3 returning id) select count(*)::int as n from gone',
  'select id from t order by id limit 1 for update',
  "select nextval('numbers')::int as n",
  "select currval('numbers')::int as n",
  'select last_value::int as n from numbers',
  "insert into t values (5, 'five'); select count(*)::int as n from t",
]
const SESSION: readonly Statement[] = [
  "set search_path = 'other'",
  'set search_path = public',
  'reset search_path',
  "set local search_path = 'other'",
  'set statement_timeout = 10000',
  "select set_config('search_path', 'other', false)",
  "select set_config('search_path', 'other', true)",
  'select moves_path()',
  'show search_path',
  "select current_setting('search_path') as p",
  'discard all',
  'prepare p as select v from t where id = 1',
  'execute p',
  'deallocate all',
  "create temp table t as select 99 as id, 'temporary' as v",
  'drop table if exists pg_temp.t',
  'listen news',
  'unlisten *',
  'select pg_try_advisory_lock(7) as l',
  'select pg_advisory_unlock_all()',
  "set time zone 'Asia/Tokyo'",
  "select to_char(timestamptz '2026-01-01 00:00Z', 'HH24') as h",
  'do $$ begin perform 1; end $$',
]
const TRANSACTIONS: readonly Statement[] = [
  'begin',
  'BEGIN;',
  'commit',
  'end',
  'rollback',
  'abort',
  'commit and chain',
  'savepoint a',
  'rollback to savepoint a',
  'release savepoint a',
  'set transaction read write',
  'set transaction read only',
  'set transaction isolation level repeatable read',
  'show transaction_read_only',
  'show transaction_isolation',
  'declare c cursor for select id from t order by id',
  'fetch 1 from c',
  'close c',
  'lock table t in access share mode',
]
const OPENINGS: readonly Statement[] = [
  'begin read only',
  'BEGIN TRANSACTION READ ONLY;',
  'start transaction read only',
  'start transaction isolation level repeatable read, read only',
  'begin isolation level read committed read only',
  'begin read only isolation level serializable',
  'begin read write, read only',
  '/* orm */ begin read only',
]

/** sfc32: small, and with a period that no run of this ends. */
export function generator(seed: number): () => number {
  let [a, b, c, d] = [0x9e3779b9, 0x243f6a88, 0xb7e15162, seed | 1]
  const next = () => {
    const t = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + t) | 0
    return (t >>> 0) / 4294967296
  }
  for (let i = 0; i < 15; i++) next()
  return next
}

export function programOf(seed: number): readonly Step[] {
  const random = generator(seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  // Each program leans to something of its own, or all of them would be tainted or in error soon.
  const weights = [2 + random() * 6, random() * 3, random() < 0.6 ? random() : 0, random() * 3, random() * 2]
  const kinds = [READS, WRITES, SESSION, TRANSACTIONS, OPENINGS]
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const statement = (): Statement => {
    const at = random() * total
    const kind = weights.findIndex((_, i) => at < weights.slice(0, i + 1).reduce((sum, weight) => sum + weight, 0))
    return pick(kinds[kind] ?? READS)
  }
  return Array.from({ length: 4 + Math.floor(random() * 10) }, (): Step => {
    if (random() < 0.06) return 'release'
    const burst = random() < 0.25 ? 2 + Math.floor(random() * 4) : 1
    return Array.from({ length: burst }, statement)
  })
}

/** What a program showed to its holder, in the order in which it was shown. */
export async function run(pool: Pool, program: readonly Step[]): Promise<readonly string[]> {
  const seen: string[] = []
  let client = await pool.connect()
  try {
    for (const [i, step] of program.entries()) {
      if (step === 'release') {
        client = await renewed(pool, client)
        continue
      }
      const answers = await Promise.all(step.map((statement, j) => answer(client, statement, `${i}.${j}`, seen)))
      // An error is told before the server says what it did to the transaction.
      if (answers.at(-1)) seen.push(`status ${client.getTransactionStatus()}`)
    }
  } finally {
    // A client whose session may have changed is not for the next program.
    const plain = program.flat().every((statement) => !SESSION.includes(statement) && typeof statement === 'string')
    if (plain) await client.query('rollback')
    client.release(!plain)
  }
  return seen
}

/** As a careful program does it: with no transaction open. */
async function renewed(pool: Pool, client: PoolClient): Promise<PoolClient> {
  if (client.getTransactionStatus() !== 'I') await client.query('rollback')
  client.release()
  return pool.connect()
}

/** True: it succeeded. */
async function answer(client: PoolClient, statement: Statement, name: string, seen: string[]): Promise<boolean> {
  try {
    const result = await client.query(statement as string)
    seen.push(`${name} ${shown(result)}`)
    return true
  } catch (error) {
    const { code, message } = error as { readonly code?: string; readonly message: string }
    seen.push(`${name} ${code}: ${message}`)
    return false
  }
}

function shown(result: QueryResult | readonly QueryResult[]): string {
  if (Array.isArray(result)) return `[${result.map(shown).join(', ')}]`
  const { command, rowCount, rows, fields } = result as QueryResult
  return `${command} ${rowCount} ${fields.map(({ name }) => name)} ${JSON.stringify(rows)}`
}
