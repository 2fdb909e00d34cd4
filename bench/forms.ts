// The forms in which applications send statements, as one operation each, the same for every pool. Nothing here measures.

import { setTimeout as pause } from 'node:timers/promises'

/** What all contenders have in common. */
export interface Queryable {
  query(text: string, values?: unknown[]): Promise<unknown>
}

export interface Client extends Queryable {
  release(): void
}

export interface Target extends Queryable {
  connect(): Promise<Client>
  end(): Promise<void>
}

export interface Form {
  readonly name: string
  /** `n`: a number that grows with each operation. */
  run(target: Target, n: number): Promise<unknown>
}

export const ROWS = 1000

export const TABLES = [
  'create table item (id int primary key, name text not null)',
  `insert into item select i, 'item ' || i from generate_series(1, ${ROWS}) i`,
  'create table note (item int not null)',
  'analyze item',
]

const READ = 'select id, name from item where id = $1'
const WRITE = 'insert into note (item) values ($1)'
/** $2: how many seconds it takes. */
const WAITING = 'select id, name, pg_sleep($2) from item where id = $1'
const REPORT = 'select count(*), pg_sleep(0.05) from item where id = $1'
const SLOW_SECONDS = 0.05

export const idOf = (n: number) => 1 + (n % ROWS)
/** One in a hundred. */
export const isSlow = (n: number) => n % 100 === 99

async function onClient(target: Target, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = await target.connect()
  try {
    await work(client)
  } finally {
    client.release()
  }
}

export const query: Form = {
  name: 'query',
  run: (target, n) => target.query(READ, [idOf(n)]),
}

export const onBorrowed: Form = {
  name: 'connect, query, release',
  run: (target, n) => onClient(target, (client) => client.query(READ, [idOf(n)])),
}

export const readOnly: Form = {
  name: 'begin read only, read, commit',
  run: (target, n) =>
    onClient(target, async (client) => {
      await client.query('begin read only')
      await client.query(READ, [idOf(n)])
      await client.query('commit')
    }),
}

export const write: Form = {
  name: 'write',
  run: (target, n) => target.query(WRITE, [idOf(n)]),
}

/** One read in a hundred takes 50 ms, and has a text of its own. */
export const mixOfTexts: Form = {
  name: '1 % slow, own text',
  run: (target, n) => target.query(isSlow(n) ? REPORT : READ, [idOf(n)]),
}

/** One read in a hundred takes 50 ms, and only its values tell. */
export const mixOfValues: Form = {
  name: '1 % slow, same text',
  run: (target, n) => target.query(WAITING, [idOf(n), isSlow(n) ? SLOW_SECONDS : 0]),
}

/** Opens all `connections`, of the servers for reads too: each caller keeps its own until all have one. */
export async function warm(target: Target, connections: number): Promise<void> {
  const clients = await Promise.all(Array.from({ length: connections }, () => target.connect()))
  for (const client of clients) client.release()
  for (let i = 0; i < 5; i++) {
    await Promise.all(Array.from({ length: connections * 2 }, (_, n) => target.query(READ, [idOf(n)])))
    await pause(10)
  }
}
