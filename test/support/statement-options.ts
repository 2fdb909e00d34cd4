// What a statement can carry beside pg's own fields: a signal, a route or its hint, a bound of its own. pg.Pool knows none of
// them, so what a route and a bound leave unchanged is compared with it, and what a signal does is told here.

import pg from 'pg'
import {
  answerOf,
  type But,
  type Case,
  type Cases,
  calledBack,
  GIVEN,
  NAMED,
  onPrimary,
  promised,
  type Servers,
  TEA,
} from './statement-case.js'

const NOT_JUDGED: But = {
  server: 'replica',
  reason: 'routing.md: what runs on a client of a view of replicas is not judged',
}
const WRITES_TOO = onPrimary('a transaction that may write is the primary’s')

let marks = 0
/** A statement of some seconds, in which an abort has its time, and the word to find it by. */
function sleeping(): { readonly text: string; readonly mark: string } {
  const mark = `mark_${++marks}_`
  return { text: `select pg_sleep(5) as ${mark}`, mark }
}

const REASON = new Error('enough of it')
const thrownBy = (work: Promise<unknown>) =>
  work.then(
    () => 'no error',
    (error: unknown) => (error === REASON ? 'the reason' : error)
  )

/** Aborted when a server is at work on it; its server is at work no more. */
async function stopped(
  servers: Servers,
  mark: string,
  send: (signal: AbortSignal) => Promise<unknown>
): Promise<unknown> {
  const stop = new AbortController()
  const thrown = thrownBy(send(stop.signal))
  await Promise.race([servers.runs(mark), thrown])
  stop.abort(REASON)
  const error = await thrown
  await servers.isOver(mark)
  if (error === 'the reason') throw REASON
  return error
}

const signalCases: Cases = {
  'aborted before: nothing is sent': {
    ask: async (face) => [
      await thrownBy(promised(face, { text: 'select 1/0', signal: AbortSignal.abort(REASON) })),
      (await promised(face, TEA)).rows.length,
    ],
    expected: { value: ['the reason', 1] },
  },
  'aborted before, with a callback': {
    ask: async (face) => [
      await thrownBy(calledBack((done) => face.query({ text: 'select 1/0', signal: AbortSignal.abort(REASON) }, done))),
      (await promised(face, TEA)).rows.length,
    ],
    expected: { value: ['the reason', 1] },
  },
  'aborted while it runs': {
    ask: (face, servers) => {
      const { text, mark } = sleeping()
      return stopped(servers, mark, (signal) => promised(face, { text, signal }))
    },
    expected: { error: { message: REASON.message } },
  },
  'aborted while it runs, with a callback': {
    ask: (face, servers) => {
      const { text, mark } = sleeping()
      return stopped(servers, mark, (signal) => calledBack((done) => face.query({ text, signal }, done)))
    },
    expected: { error: { message: REASON.message } },
  },
  'aborted while it runs, with values and a name': {
    ask: (face, servers) => {
      const { text, mark } = sleeping()
      const config = { name: mark, text: `${text}, $1::int as n`, values: [7] }
      return stopped(servers, mark, (signal) => promised(face, { ...config, signal }))
    },
    expected: { error: { message: REASON.message } },
  },
  'aborted while another one runs before it': {
    ask: async (face) => {
      const stop = new AbortController()
      const first = promised(face, `select pg_sleep(0.3)`)
      const second = thrownBy(promised(face, { text: 'select 1/0', signal: stop.signal }))
      stop.abort(REASON)
      const thrown = await second
      return [thrown, (await first).rows.length, (await promised(face, TEA)).rows.length]
    },
    expected: { value: ['the reason', 1, 1] },
  },
  'aborted when it is over': {
    ask: async (face) => {
      const stop = new AbortController()
      const { rows } = await promised(face, { text: TEA, signal: stop.signal })
      stop.abort(REASON)
      return [rows, (await promised(face, TEA)).rows]
    },
  },
  'never aborted': {
    ask: (face) =>
      promised(face, { text: GIVEN, values: [7, 'tea'], rowMode: 'array', signal: new AbortController().signal }),
  },
  'that is none': {
    ask: async (face) => promised(face, { text: TEA, signal: 'no' }),
    expected: { error: { code: 'PGHERD_CONFIG', message: 'option signal must be an AbortSignal' } },
  },
}

const ALL = { text: GIVEN, values: [7, 'tea'], name: 'with all', rowMode: 'array', types: pg.types } as const

/** The two spellings of a route, and the same with all that a statement can carry. */
function routed(route: 'primary' | 'replica', rest: Pick<Case, 'server' | 'but'>): Cases {
  const hint = `/* pgherd:${route} */`
  return {
    [`${route}, in the config`]: { ask: (face) => promised(face, { text: TEA, route }), ...rest },
    [`${route}, in the config, with a callback`]: {
      ask: (face) => calledBack((done) => face.query({ text: TEA, route }, done)),
      ...rest,
    },
    [`${route}, as a hint`]: { ask: (face) => promised(face, `${hint} ${TEA}`), ...rest },
    [`${route}, as a hint, with values`]: { ask: (face) => promised(face, `${hint} ${GIVEN}`, [7, 'tea']), ...rest },
    [`${route}, as a getter`]: {
      ask: (face) =>
        promised(
          face,
          Object.create({
            get route() {
              return route
            },
            get text() {
              return TEA
            },
          })
        ),
      ...rest,
    },
    [`${route}, with all else`]: {
      ask: (face) => promised(face, { ...ALL, route }),
      ...rest,
      but: { ...NAMED, ...rest.but },
    },
  }
}

const boundCases: Cases = {
  '0: the primary': {
    ask: (face) => promised(face, { text: TEA, maxLagMillis: 0 }),
    server: 'primary',
    but: { 'a client of a replica view': NOT_JUDGED },
  },
  '0, with all else': {
    ask: (face) => promised(face, { ...ALL, maxLagMillis: 0 }),
    server: 'primary',
    but: { 'a client of a replica view': NOT_JUDGED },
  },
  'as old as it may be': { ask: (face) => promised(face, { text: TEA, maxLagMillis: Infinity }) },
  'that is none': {
    ask: async (face) => promised(face, { text: TEA, maxLagMillis: -1 }),
    expected: {
      error: {
        code: 'PGHERD_CONFIG',
        message: 'option maxLagMillis must be a number of milliseconds of at least 0, not -1',
      },
    },
  },
}

export const SIGNAL_CASES = { signal: signalCases } as const
export const ROUTE_CASES = {
  route: {
    ...routed('primary', { server: 'primary', but: { 'a client of a replica view': NOT_JUDGED } }),
    ...routed('replica', { server: 'replica', but: { 'transaction()': WRITES_TOO } }),
    'primary, as the hint of a query object': {
      ask: (face) => answerOf(face, new pg.Query(`/* pgherd:primary */ ${TEA}`)),
      server: 'primary',
      but: { 'a client of a replica view': NOT_JUDGED },
    },
    'primary, of a query object': {
      ask: (face) => answerOf(face, Object.assign(new pg.Query(TEA), { route: 'primary' })),
      server: 'primary',
      but: { 'a client of a replica view': NOT_JUDGED },
    },
    'replica, of a query object': {
      ask: (face) => answerOf(face, Object.assign(new pg.Query(TEA), { route: 'replica' })),
      server: 'replica',
      but: {
        'transaction()': WRITES_TOO,
        'a borrowed read': onPrimary('drop-in.md: a client borrows for no submittable outside of a transaction'),
      },
    },
    auto: { ask: (face) => promised(face, { text: TEA, route: 'auto' }) },
    'that is none': {
      ask: async (face) => promised(face, { text: TEA, route: 'somewhere' }),
      expected: {
        error: { code: 'PGHERD_CONFIG', message: "option route must be 'primary', 'replica' or 'auto', not somewhere" },
      },
    },
  },
  maxLagMillis: boundCases,
} as const satisfies Readonly<Record<'route' | 'maxLagMillis', Cases>>
