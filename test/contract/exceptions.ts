// The one list of everything in which pgherd's Pool is not pg.Pool, test by test.
//   PER NODE  a limit or a failure that belongs to one server by nature: the test does not run where there are several
//   BETTER    on purpose; the test has a body of its own for pgherd
//   DIFFERS   to be mended: the test fails, and must be taken off this list when it does not any more

export type SubjectId = 'pg' | 'one server' | 'replica'

export interface Exception {
  readonly area: string
  readonly test: string
  readonly kind: 'PER NODE' | 'BETTER' | 'DIFFERS'
  readonly subjects: readonly SubjectId[]
  readonly reason: string
}

const BOTH: readonly SubjectId[] = ['one server', 'replica']
const REPLICA: readonly SubjectId[] = ['replica']

type Row = readonly [area: string, test: string, subjects: readonly SubjectId[], reason: string]

const HERD = 'that one server fails is no answer yet: the others are asked, and the error is one of pgherd’s own'

const PER_NODE: readonly Row[] = [
  ['limits', 'max bounds reads and writes together', REPLICA, 'each server has a max of its own'],
  ['limits', 'a full pool makes query() wait, up to connectionTimeoutMillis', REPLICA, 'a replica has room of its own'],
  ['limits', 'connectionTimeoutMillis bounds a new connection', REPLICA, HERD],
  ['counts', 'a new pool dials before query() returns', REPLICA, 'nobody knows yet which server is the primary'],
  ['errors', 'nobody listens: ECONNREFUSED', REPLICA, HERD],
  ['errors', 'a name that does not resolve: ENOTFOUND', REPLICA, HERD],
  ['errors', 'a server that hangs up at once: Connection terminated unexpectedly', REPLICA, HERD],
]

const BETTER: readonly Row[] = [
  ['options', 'a client that cannot be made', BOTH, 'it is a rejection, never a throw'],
  [
    'process',
    'an idle client that is lost ends the process, where nobody listens',
    REPLICA,
    'with other servers it is dealt with',
  ],
  [
    'broken connections',
    'a backend that ends while query() runs',
    REPLICA,
    'what was surely not executed is run again',
  ],
  [
    'errors',
    'of the server take their client along',
    REPLICA,
    'a connection that reads share stays: a statement that failed has left nothing there',
  ],
  [
    'options',
    'query_timeout gives up on a statement, of the pool or its own',
    REPLICA,
    'a connection that reads share stays: the server is asked to end the statement',
  ],
  ['sessions', 'a transaction that is open at the release', BOTH, 'it is not the next holder’s'],
  [
    'clients',
    'given back while a statement that query_timeout gave up goes on',
    BOTH,
    'it is not given to the next holder, who would wait for that statement',
  ],
  ['end', 'of those who wait for a client', BOTH, 'who waits is answered'],
  [
    'callbacks',
    'callbacks on an ended pool',
    BOTH,
    'never called back before the call returns; release is always a function',
  ],
  ['errors', 'say what became of the statement', BOTH, 'every error has an outcome'],
  ['events', 'a client that is out has nobody listen to its errors', BOTH, 'a killed backend does not end the process'],
]

const DIFFERS: readonly Row[] = [
  [
    'constructor',
    'a subclass that overrides connect() gives query() its clients',
    BOTH,
    'query() does not call connect()',
  ],
  ['environment', 'host and port are read when a client is made', BOTH, 'they are read when the pool is made'],
]

export const EXCEPTIONS: readonly Exception[] = [
  ...PER_NODE.map(exception('PER NODE')),
  ...BETTER.map(exception('BETTER')),
  ...DIFFERS.map(exception('DIFFERS')),
]

function exception(kind: Exception['kind']) {
  return ([area, test, subjects, reason]: Row): Exception => ({ kind, area, test, subjects, reason })
}
