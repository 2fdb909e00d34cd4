// Every form of a statement that writes, beside the usual ones, and statements that are made to fail by an error of their own:
// one that a function raises, or a parser of the application throws, with a code that servers use for other things.

import type { Connection, PoolClient, Submittable } from 'pg'
import type { Random } from '../support/grammar.js'
import { type Attempt, type Form, insertEach, OWN, onClient, USUAL } from './writes.js'

/** What a server says of its session or its role, and nobody else may. */
const CODES = ['25006', '57P01', '57P03', '40001', '08006', '08001', '53100'] as const
const codeFor = (id = 0) => CODES[id % CODES.length] ?? CODES[0]

/** What the forms need, beside the ledger. */
export const STATEMENTS_SCHEMA = `
  create table marks (lane int primary key, id int);
  insert into marks select lane, 0 from generate_series(0, 31) as lane;
  create function mark() returns trigger language plpgsql as
    $$begin insert into ledger values (new.lane, new.id); return null; end$$;
  create trigger marked after update on marks for each row execute function mark();
  create table twins (n int);
  insert into twins values (1), (1);
  create index twins_n on twins (n);
  create sequence steps;
  create function fail_with(code text, id int) returns int language plpgsql as
    $$begin raise log 'run %', id; raise exception '${OWN}' using errcode = code; end$$;
  create function note(lane int, id int) returns bool language plpgsql as
    $$begin insert into ledger values (lane, id); return false; end$$;
  create procedure in_two(lane int, one int, two int) language plpgsql as
    $$begin insert into ledger values (lane, one); commit; insert into ledger values (lane, two); end$$;
  create procedure in_two_and_fail(lane int, one int, code text) language plpgsql as
    $$begin insert into ledger values (lane, one); commit; perform fail_with(code, one); end$$`

/** dblink_exec with a password, which pg_hba.conf must ask for: only superusers go without. */
export const REMOTE = { role: 'remote', password: 'remote' } as const
const remotely = (text: string) =>
  `dblink_exec(format('host=127.0.0.1 port=%s dbname=app user=${REMOTE.role} password=${REMOTE.password}', inet_server_port()), '${text}')`

class CopyIn implements Submittable {
  readonly #rows: string
  readonly done: Promise<void>
  #resolve: () => void = () => undefined
  #reject: (error: Error) => void = () => undefined
  #error: Error | null = null

  constructor(rows: string) {
    this.#rows = rows
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.done.catch(() => undefined)
  }

  submit(connection: Connection): void {
    connection.query('copy ledger from stdin')
  }

  handleCopyInResponse(connection: Connection): void {
    const wire = connection as unknown as { sendCopyFromChunk(chunk: Buffer): void; endCopyFrom(): void }
    wire.sendCopyFromChunk(Buffer.from(this.#rows))
    wire.endCopyFrom()
  }

  handleCommandComplete(): void {}

  handleError(error: Error): void {
    this.#error = error
    this.#reject(error)
  }

  handleReadyForQuery(): void {
    if (this.#error === null) this.#resolve()
  }
}

const insert = (lane: number, id: number | undefined) => `insert into ledger values (${lane}, ${id})`

const text = (name: string, of: (lane: number, id: number) => string, more: Partial<Form> = {}): Form => ({
  name,
  rows: 1,
  write: (pool, { lane, ids: [id = 0] }) => pool.query(of(lane, id)),
  ...more,
})

/** The rows of the first block are acknowledged before anything is sent for the second. */
const chain =
  (words: string) =>
  async (client: PoolClient, { lane, ids: [one = 0, two], kept }: Attempt) => {
    await client.query('begin')
    await client.query(insert(lane, one))
    await client.query(words)
    kept(one)
    await client.query(insert(lane, two))
    await client.query('commit')
  }

const EVERY: readonly Form[] = [
  text('update', (lane, id) => `update marks set id = ${id} where lane = ${lane}`),
  text('delete', (lane, id) => `delete from marks where lane = ${lane} and note(${lane}, ${id})`),
  text(
    'merge',
    (lane, id) =>
      `merge into ledger using (values (${lane}, ${id})) as new (lane, id) on false when not matched then insert values (lane, id)`,
    { major: 15 }
  ),
  text('WITH', (lane, id) => `with new as (${insert(lane, id)} returning id) select id from new`),
  text('a function', (lane, id) => `select note(${lane}, ${id})`),
  text('DO', (lane, id) => `do $$begin ${insert(lane, id)}; end$$`),
  text('EXECUTE', (lane, id) => `prepare p${id} as ${insert(lane, id)}; execute p${id}; deallocate p${id}`),
  text('nextval', (lane, id) => `with n as (select nextval('steps')) insert into ledger select ${lane}, ${id} from n`),
  text('ROLLBACK, then another', (lane, id) => `begin; ${insert(lane, -id)}; rollback; ${insert(lane, id)}`),
  text('CALL', (lane, id) => `call in_two(${lane}, ${id}, ${id + 1})`, { rows: 2, piecemeal: true }),
  text('DO with COMMIT', (lane, id) => `do $$begin ${insert(lane, id)}; commit; ${insert(lane, id + 1)}; end$$`, {
    rows: 2,
    piecemeal: true,
  }),
  text('COMMIT in a text', (lane, id) => `begin; ${insert(lane, id)}; commit; ${insert(lane, id + 1)}`, {
    rows: 2,
    piecemeal: true,
  }),
  text(
    'AND CHAIN in a text',
    (lane, id) => `begin; ${insert(lane, id)}; commit and chain; ${insert(lane, id + 1)}; end`,
    {
      rows: 2,
      piecemeal: true,
    }
  ),
  {
    name: 'COPY',
    rows: 2,
    write: (pool, { lane, ids }) =>
      onClient(pool, async (client) => {
        const copy = new CopyIn(ids.map((id) => `${lane}\t${id}\n`).join(''))
        client.query(copy)
        await copy.done
      }),
  },
  ...['commit and chain', '/* c */ end and chain', 'COMMIT WORK AND CHAIN'].map(
    (words): Form => ({
      name: `${words}, on a client`,
      rows: 2,
      piecemeal: true,
      stepwise: true,
      write: (pool, attempt) => onClient(pool, (client) => chain(words)(client, attempt)),
    })
  ),
  {
    name: 'rollback and chain, on a client',
    rows: 1,
    write: (pool, { lane, ids: [id = 0] }) =>
      onClient(pool, async (client) => {
        await client.query('begin')
        await client.query(insert(lane, -id))
        await client.query('rollback and chain')
        await client.query(insert(lane, id))
        await client.query('commit')
      }),
  },
]

/** A parser that fails once the row has come: the statement is done, and its error is the application's own. */
const throwing = (code: string) => ({
  getTypeParser: () => () => {
    throw Object.assign(new Error(OWN), { code })
  },
})

const REFUSED: readonly Form[] = [
  {
    name: 'a function that raises',
    rows: 1,
    refused: 'undone',
    write: (pool, { lane, ids: [id] }) =>
      pool.query(`${insert(lane, id)} returning fail_with('${codeFor(id)}', ${id})`),
  },
  {
    name: 'a function that raises, with parameters',
    rows: 1,
    refused: 'undone',
    write: (pool, { lane, ids: [id] }) =>
      pool.query('insert into ledger values ($1, $2) returning fail_with($3, $2)', [lane, id, codeFor(id)]),
  },
  {
    name: 'a function that raises in transaction()',
    rows: 2,
    refused: 'undone',
    write: (pool, attempt) =>
      pool.transaction(async (client) => {
        await insertEach(client, attempt)
        await client.query(`select fail_with('${codeFor(attempt.ids[0])}', ${attempt.ids[0]})`)
      }),
  },
  {
    name: 'CALL that commits and fails',
    rows: 1,
    refused: 'stays',
    piecemeal: true,
    write: (pool, { lane, ids: [id] }) => pool.query(`call in_two_and_fail(${lane}, ${id}, '${codeFor(id)}')`),
  },
  {
    name: 'a text that commits and fails',
    rows: 1,
    refused: 'stays',
    piecemeal: true,
    write: (pool, { lane, ids: [id] }) =>
      pool.query(`begin; ${insert(lane, id)}; commit; select fail_with('${codeFor(id)}', ${id})`),
  },
  {
    name: 'COMMIT AND CHAIN in transaction(), and a failure',
    rows: 2,
    refused: 'stays',
    piecemeal: true,
    write: (pool, { lane, ids: [one = 0], kept }) =>
      pool.transaction(async (client) => {
        await client.query(insert(lane, one))
        await client.query('commit and chain')
        kept(one)
        await client.query(`select fail_with('${codeFor(one)}', ${one})`)
      }),
  },
  {
    name: 'setval, and a failure',
    rows: 1,
    refused: 'stays',
    write: (pool, { ids: [id] }) => pool.query(`select setval('steps', ${id}), fail_with('${codeFor(id)}', ${id})`),
  },
  {
    name: 'a parser that throws',
    rows: 1,
    refused: 'stays',
    write: (pool, { lane, ids: [id] }) =>
      pool.query({ text: `${insert(lane, id)} returning id`, types: throwing(codeFor(id)) }),
  },
  {
    name: 'a parser that throws, with parameters',
    rows: 1,
    refused: 'stays',
    write: (pool, { lane, ids: [id] }) =>
      pool.query({
        text: 'insert into ledger values ($1, $2) returning id',
        values: [lane, id],
        types: throwing(codeFor(id)),
      }),
  },
  {
    name: 'a parser that throws in transaction()',
    rows: 1,
    refused: 'undone',
    write: (pool, { lane, ids: [id] }) =>
      pool.transaction((client) =>
        client.query({ text: `${insert(lane, id)} returning id`, types: throwing(codeFor(id)) })
      ),
  },
]

/** An index that cannot be built stays behind, and is found by its name. Few: each waits for all transactions. */
const CONCURRENT: Form = {
  name: 'CREATE UNIQUE INDEX CONCURRENTLY',
  rows: 1,
  waits: true,
  refused: 'stays',
  write: (pool, { ids: [id] }) => pool.query(`create unique index concurrently twins_${id} on twins (n)`),
}

/** No row tells of it; what it leaves behind when it is cut is counted at the end. */
export const REINDEX = 'REINDEX CONCURRENTLY'

const OTHERS: readonly Form[] = [
  CONCURRENT,
  {
    name: REINDEX,
    rows: 0,
    waits: true,
    refused: 'stays',
    write: (pool) => pool.query('reindex index concurrently twins_n'),
  },
  text('dblink_exec', (lane, id) => `select ${remotely(insert(lane, id))}`, { remote: true }),
  text(
    'dblink_exec, and a failure',
    (lane, id) => `select ${remotely(insert(lane, id))}, fail_with('${codeFor(id)}', ${id})`,
    { refused: 'stays', remote: true }
  ),
]

/** Of a hundred statements those up to each number are of these. */
const SHARES: readonly (readonly [number, readonly Form[]])[] = [
  [50, USUAL],
  [80, EVERY],
  [98, REFUSED],
  [100, OTHERS],
]

export const WRITERS = ['every', 'usual'] as const
export type Writers = (typeof WRITERS)[number]

interface Known {
  readonly writers: Writers
  readonly major: number
  /** There is dblink. */
  readonly remote: boolean
  /** Statements may wait for all transactions that are open. */
  readonly waits: boolean
}

/** One of the forms that this PostgreSQL knows, the usual ones more often. */
export function aForm(random: Random, { writers, major, remote, waits }: Known): Form {
  const drawn = random.below(100)
  const share = writers === 'usual' ? USUAL : (SHARES.find(([end]) => drawn < end)?.[1] ?? USUAL)
  const known = share.filter((form) => (form.major ?? 0) <= major && (remote || !form.remote) && (waits || !form.waits))
  return random.pick(known)
}
