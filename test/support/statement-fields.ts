// All that a statement can carry: the fields of its config, the forms of the call, and what submits itself. Each case is run at
// every entry of entries.ts, and on pg.Pool, whose answer is the expected one. There is no way for a field to be tested at some
// entries only: where an entry differs on purpose, the case says why.

import pg from 'pg'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import type { StatementOptions } from '../../src/index.js'
import type { Face } from './entries.js'
import { answerOf, type Cases, calledBack, GIVEN, NAMED, onPrimary, promised, TEA } from './statement-case.js'
import { ROUTE_CASES, SIGNAL_CASES } from './statement-options.js'

/** Those that pg's types name, pgherd's own, and those that pg reads all the same. A field that is added must be added here. */
export type Field =
  | keyof (pg.QueryConfig & pg.QueryArrayConfig & StatementOptions)
  | 'callback'
  | 'submit'
  | 'binary'
  | 'queryMode'
  | 'rows'
  | 'portal'
  | 'query_timeout'

const VALUES = [7, 'tea'] as const
const SERIES = 'select n, inet_server_port() as port from generate_series(1, $1::int) n'

/** Parses every value as `<text>`. */
const MARKED = { getTypeParser: () => (text: string) => `<${text}>` }
const marked = (face: Face) => {
  face.client?.setTypeParser(pg.types.builtins.INT4, (text: string) => `<${text}>`)
  return () => face.client?.setTypeParser(pg.types.builtins.INT4, Number)
}

async function withParser<T>(face: Face, work: () => Promise<T>): Promise<T> {
  const restore = marked(face)
  try {
    return await work()
  } finally {
    restore()
  }
}

const UNREADABLE = {
  toPostgres: () => {
    throw new Error('it has no bytes')
  },
}

/** As sql-template-tag has it: what pg reads are getters of the prototype. */
class Tag {
  protected readonly held: readonly unknown[]
  constructor(...values: unknown[]) {
    this.held = values
  }
  get text() {
    return GIVEN
  }
  get values() {
    return this.held
  }
}

class WholeTag extends Tag {
  get name() {
    return 'whole tag'
  }
  get rowMode() {
    return 'array'
  }
  get types() {
    return MARKED
  }
}

const SEVERAL = {
  'query()': onPrimary('routing.md: several statements in one text run on the primary'),
  'a borrowed read': onPrimary('routing.md: several statements in one text run on the primary'),
  'a READ ONLY transaction of a client': onPrimary('several statements in one text move the transaction'),
} as const
const SUBMITTED = {
  'query()': onPrimary('routing.md: what submits itself shows no text that could be read'),
  'a borrowed read': onPrimary('drop-in.md: a client borrows for no submittable outside of a transaction'),
} as const
const NO_CLIENT = {
  'query()': { absent: true, reason: 'there is no client before the call; a connect listener can do it' },
} as const

async function streamed(face: Face, stream: QueryStream): Promise<unknown> {
  const given = face.query(stream)
  const rows: unknown[] = []
  for await (const row of stream) rows.push(row)
  if (given !== stream) await given
  return rows
}

async function readBy(face: Face, cursor: Cursor): Promise<unknown> {
  void face.query(cursor)
  const portions = [await cursor.read(2), await cursor.read(2), await cursor.read(2)]
  await cursor.close()
  face.giveBack()
  return portions
}

export const FIELDS: Readonly<Record<Field, Cases>> = {
  text: {
    'a text': { ask: (face) => promised(face, TEA) },
    'in a config': { ask: (face) => promised(face, { text: TEA }) },
    'a getter of a prototype': { ask: (face) => promised(face, new Tag(...VALUES)) },
    'a getter of a prototype, with a callback': {
      ask: (face) => calledBack((done) => face.query(new Tag(7, 'tea'), done)),
    },
    'all fields getters of a prototype': { ask: (face) => promised(face, new WholeTag(...VALUES)), but: NAMED },
    'in a frozen config': { ask: (face) => promised(face, Object.freeze({ text: TEA })) },
    'in a config without a prototype': {
      ask: (face) => promised(face, Object.assign(Object.create(null), { text: TEA })),
    },
    'several statements': { ask: (face) => promised(face, `${TEA}; ${TEA}`), but: SEVERAL },
    'an empty text': { ask: (face) => promised(face, '') },
    'a statement that fails': { ask: (face) => promised(face, 'select 1/0') },
    'one that fails, with a callback': { ask: (face) => calledBack((done) => face.query('select 1/0', done)) },
    'neither text nor name': { ask: (face) => promised(face, {}) },
  },
  values: {
    'in the config': { ask: (face) => promised(face, { text: GIVEN, values: VALUES }) },
    'the second argument': { ask: (face) => promised(face, GIVEN, VALUES) },
    'the second argument, before those in the config': {
      ask: (face) => promised(face, { text: GIVEN, values: [1, 'salt'] }, VALUES),
    },
    'a getter': {
      ask: (face) =>
        promised(face, {
          text: GIVEN,
          get values() {
            return VALUES
          },
        }),
    },
    'that pg cannot put into bytes': {
      ask: (face) => promised(face, GIVEN, [UNREADABLE, 'tea']),
    },
    'too few': { ask: (face) => promised(face, GIVEN, [7]) },
    'no array': { ask: (face) => promised(face, { text: GIVEN, values: 'tea' }) },
  },
  name: {
    once: { ask: (face) => promised(face, { name: 'once', text: GIVEN, values: VALUES }), but: NAMED },
    twice: {
      ask: async (face) => [
        await promised(face, { name: 'twice', text: GIVEN, values: [1, 'salt'] }),
        await promised(face, { name: 'twice', text: GIVEN, values: VALUES }),
      ],
      but: NAMED,
    },
    'with a callback': {
      ask: (face) => calledBack((done) => face.query({ name: 'called', text: GIVEN, values: VALUES }, done)),
      but: NAMED,
    },
  },
  types: {
    'in the config': { ask: (face) => promised(face, { text: TEA, types: MARKED }) },
    'in a prepared one': {
      ask: (face) => promised(face, { name: 'typed', text: GIVEN, values: VALUES, types: MARKED }),
      but: NAMED,
    },
    'setTypeParser() of the client': { ask: (face) => withParser(face, () => promised(face, TEA)), but: NO_CLIENT },
    'setTypeParser() of the client, and a callback': {
      ask: (face) => withParser(face, () => calledBack((done) => face.query(TEA, done))),
      but: NO_CLIENT,
    },
    'setTypeParser() of the client, and a query object': {
      ask: (face) => withParser(face, () => answerOf(face, new pg.Query(TEA))),
      but: { ...SUBMITTED, ...NO_CLIENT },
    },
    'the config before the client': {
      ask: (face) => withParser(face, () => promised(face, { text: TEA, types: pg.types })),
      but: NO_CLIENT,
    },
    'a parser that throws': {
      ask: (face) =>
        promised(face, {
          text: TEA,
          types: {
            getTypeParser: () => () => {
              throw new Error('the parser failed')
            },
          },
        }),
    },
  },
  rowMode: {
    array: { ask: (face) => promised(face, { text: TEA, rowMode: 'array' }) },
    'array, with values and a name': {
      ask: (face) => promised(face, { name: 'in arrays', text: GIVEN, values: VALUES, rowMode: 'array' }),
      but: NAMED,
    },
  },
  callback: {
    'behind the text': { ask: (face) => calledBack((done) => face.query(TEA, done)) },
    'behind the values': { ask: (face) => calledBack((done) => face.query(GIVEN, VALUES, done)) },
    'behind a config': { ask: (face) => calledBack((done) => face.query({ text: GIVEN, values: VALUES }, done)) },
    'in the config': {
      ask: (face) => calledBack((callback) => face.query({ text: GIVEN, values: VALUES, callback })),
      but: { 'query()': { absent: true, reason: 'pg.Pool overlooks it, and gives a promise' } },
    },
    'in a frozen config': {
      ask: (face) => calledBack((callback) => face.query(Object.freeze({ text: TEA, callback }))),
      but: { 'query()': { absent: true, reason: 'pg.Pool overlooks it, and gives a promise' } },
    },
  },
  submit: {
    'a query object': { ask: (face) => answerOf(face, new pg.Query(TEA)), but: SUBMITTED },
    'a query object with a callback behind it': {
      ask: (face) =>
        new Promise((resolve, reject) => {
          face.query(new pg.Query(TEA), (error: unknown, result: unknown) => (error ? reject(error) : resolve(result)))
        }),
      but: SUBMITTED,
    },
    'a query object that fails': { ask: (face) => answerOf(face, new pg.Query('select 1/0')), but: SUBMITTED },
    'a cursor': { ask: (face) => readBy(face, new Cursor(SERIES, [5])), but: SUBMITTED },
    'a cursor in arrays': {
      ask: (face) => readBy(face, new Cursor(SERIES, [5], { rowMode: 'array' })),
      but: SUBMITTED,
    },
    'a stream': { ask: (face) => streamed(face, new QueryStream(SERIES, [25], { batchSize: 4 })), but: SUBMITTED },
    'a stream that fails': {
      ask: (face) => streamed(face, new QueryStream('select 1 / (3 - n) as n from generate_series(1, 5) n')),
      but: SUBMITTED,
    },
  },
  binary: {
    'with values': { ask: (face) => promised(face, { text: GIVEN, values: VALUES, binary: true }) },
    'with a name': {
      ask: (face) => promised(face, { name: 'binary', text: GIVEN, values: VALUES, binary: true }),
      but: NAMED,
    },
  },
  queryMode: { extended: { ask: (face) => promised(face, { text: TEA, queryMode: 'extended' }) } },
  rows: { 'fewer than there are': { ask: (face) => promised(face, { text: SERIES, values: [5], rows: 2 }) } },
  portal: { 'of a name': { ask: (face) => promised(face, { text: SERIES, values: [5], portal: 'mine' }) } },
  query_timeout: {
    'that is over': { ask: (face) => promised(face, { text: 'select pg_sleep(0.5)', query_timeout: 20 }) },
    'that is over, with a callback': {
      ask: (face) => calledBack((done) => face.query({ text: 'select pg_sleep(0.5)', query_timeout: 20 }, done)),
    },
    'that is not over': { ask: (face) => promised(face, { text: GIVEN, values: VALUES, query_timeout: 60_000 }) },
  },
  ...SIGNAL_CASES,
  ...ROUTE_CASES,
}
