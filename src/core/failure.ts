// Any error -> a Failure: what happened, whether the statement can have run, whether it accuses the node. And mayRetry().
// Decides by code, never by a message's text, except for pg's own errors that carry no code at all.

/** What went wrong, in the words the rest of the code switches on. */
export type FailureKind =
  | 'unreachable' // nobody listens there, or no way there
  | 'starting' // alive, but takes no sessions: starting up, shutting down, recovering
  | 'lost' // the connection broke
  | 'silent' // no answer in time
  | 'role' // a replica was asked to write, or a primary says it is none
  | 'unfit' // what a replica cannot do and the primary perhaps can; an ordinary error on the primary
  | 'isolation' // a replica has no SERIALIZABLE, so with that as the default it refuses everything
  | 'missing' // what the statement names is not there: on a replica perhaps not yet
  | 'full' // no connection slots
  | 'denied' // wrong password, no such database, no right to connect, no trust in the certificate
  | 'conflict' // a replica cancelled a read to go on replaying
  | 'dropped' // our own: the node's connections were given up before the statement was sent
  | 'stale' // our own: a fresh connection proved to be behind the required position
  | 'statement' // the server answered this statement with an error; the node is well
  | 'caller' // not the server's doing at all: a TypeError, a closed pool

/**
 * never: no byte of the statement left. rejected: the server answered and nothing happened.
 * maybe: it may have been executed.
 */
export type Sent = 'never' | 'rejected' | 'maybe'

export type Outcome = 'not-sent' | 'rolled-back' | 'unknown'

export interface Failure {
  readonly kind: FailureKind
  readonly sent: Sent
  /** The node is worth a probe at once. */
  readonly accuses: boolean
  /** SQLSTATE, errno name or null. */
  readonly code: string | null
  readonly message: string
  /** The error as it came, to be passed through. */
  readonly error: unknown
}

/** Where the error arose. `handed`: the statement was given to a connection. `completed`: CommandComplete had come back. */
export type Phase = 'connect' | 'handed' | 'completed' | 'idle'

interface Row {
  readonly kind: FailureKind
  readonly accuses: boolean
  /** The server said so before doing anything, so the statement has no effect. */
  readonly undone: boolean
}

/** SQLSTATE -> meaning (PostgreSQL docs, appendix A; behaviour measured on 12 to 18). Every other SQLSTATE is 'statement'. */
const SQLSTATES: Readonly<Record<string, Row>> = {
  // admin_shutdown as an ErrorResponse: fast stop or pg_terminate_backend. The transaction is rolled back.
  '57P01': { kind: 'lost', accuses: true, undone: true },
  // crash_shutdown: another backend crashed, or an immediate stop.
  '57P02': { kind: 'lost', accuses: true, undone: false },
  // cannot_connect_now: starting up, shutting down, in recovery without hot standby.
  '57P03': { kind: 'starting', accuses: true, undone: true },
  // database_dropped while connected
  '57P04': { kind: 'lost', accuses: false, undone: true },
  // idle_session_timeout, idle_in_transaction_session_timeout, transaction_timeout: the session's own limits.
  '57P05': { kind: 'lost', accuses: false, undone: true },
  '25P03': { kind: 'lost', accuses: false, undone: true },
  '25P04': { kind: 'lost', accuses: false, undone: true },
  // read_only_sql_transaction: a standby, a default_transaction_read_only, or the user's own READ ONLY block.
  '25006': { kind: 'role', accuses: true, undone: true },
  // feature_not_supported: an unlogged table, SET TRANSACTION READ WRITE, logical decoding before 16.
  '0A000': { kind: 'unfit', accuses: false, undone: true },
  // object_not_in_prerequisite_state: "recovery is in progress", lock modes.
  '55000': { kind: 'unfit', accuses: false, undone: true },
  // internal_error: large objects before 16, whatever asks for an OID or a transaction ID by a back door.
  XX000: { kind: 'unfit', accuses: false, undone: true },
  // undefined_table, _column, _function, _object, invalid_schema_name: what was created is not replayed yet.
  '42P01': { kind: 'missing', accuses: false, undone: true },
  '42703': { kind: 'missing', accuses: false, undone: true },
  '42883': { kind: 'missing', accuses: false, undone: true },
  '42704': { kind: 'missing', accuses: false, undone: true },
  '3F000': { kind: 'missing', accuses: false, undone: true },
  // too_many_connections: alive, and not a sign of failover.
  '53300': { kind: 'full', accuses: false, undone: true },
  // Wrong password or no pg_hba.conf entry; unknown database.
  '28P01': { kind: 'denied', accuses: false, undone: true },
  '28000': { kind: 'denied', accuses: false, undone: true },
  '3D000': { kind: 'denied', accuses: false, undone: true },
  // Class 08, connection exceptions that a server or a proxy reports in words.
  '08000': { kind: 'lost', accuses: true, undone: false },
  '08001': { kind: 'unreachable', accuses: true, undone: true },
  '08003': { kind: 'lost', accuses: true, undone: false },
  '08004': { kind: 'denied', accuses: false, undone: true },
  '08006': { kind: 'lost', accuses: true, undone: false },
  '08P01': { kind: 'lost', accuses: true, undone: false },
  // Ours: the node's connections were given up; a fresh connection is behind; a server asked for a readable password.
  PGHERD_DROPPED: { kind: 'dropped', accuses: false, undone: true },
  PGHERD_STALE: { kind: 'stale', accuses: false, undone: true },
  PGHERD_MOVED: { kind: 'starting', accuses: true, undone: true }, // another server answers there: it is looked at anew
  PGHERD_NOT_PRIMARY: { kind: 'role', accuses: true, undone: true },
  PGHERD_WEAK_AUTH: { kind: 'denied', accuses: false, undone: true },
}

/** Codes of Node's sockets, resolver and TLS -> meaning. */
const SYSTEM_CODES: Readonly<Record<string, FailureKind>> = {
  ECONNREFUSED: 'unreachable',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENETDOWN: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  ENOENT: 'unreachable', // no such Unix socket
  ENOTFOUND: 'unreachable',
  EAI_AGAIN: 'unreachable',
  ENODATA: 'unreachable',
  ESERVFAIL: 'unreachable',
  ETIMEOUT: 'unreachable',
  ECONNRESET: 'lost',
  ECONNABORTED: 'lost',
  EPIPE: 'lost',
  ETIMEDOUT: 'lost',
  ERR_STREAM_DESTROYED: 'lost',
  ERR_STREAM_WRITE_AFTER_END: 'lost',
  ERR_TLS_CERT_ALTNAME_INVALID: 'denied',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'denied',
  SELF_SIGNED_CERT_IN_CHAIN: 'denied',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'denied',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'denied',
  CERT_HAS_EXPIRED: 'denied',
}

/** pg's errors without any code. The texts are part of its contract: libraries match on them. */
const UNCODED: Readonly<Record<string, FailureKind>> = {
  'Connection terminated': 'caller', // somebody called end() on the client: that is no word about its server
  'Connection terminated unexpectedly': 'lost',
  'Connection terminated due to connection timeout': 'silent',
  'timeout expired': 'silent',
  'timeout exceeded when trying to connect': 'caller', // the pool is full: nothing is known of the server
  'Query read timeout': 'caller', // query_timeout is the caller's own limit: nothing else may run after it
  'The server does not support SSL connections': 'denied',
  'There was an error establishing an SSL connection': 'starting',
}
/** connectionTimeoutMillis, in pg's words: in the queue for a connection, or while one was made. */
const IN_QUEUE = 'timeout exceeded when trying to connect'
const WHILE_CONNECTING = new Set(['Connection terminated due to connection timeout', 'timeout expired'])

/** pg refuses to send: the statement never left. */
const NOT_QUERYABLE = new Set([
  'Client has encountered a connection error and is not queryable',
  'Client was closed and is not queryable',
])

/** pg refuses it for its form, before a byte of it is sent. */
const MALFORMED =
  /^(?:A query must have either text or a name|Query values must be an array|Prepared statements must be unique)/

const SQLSTATE = /^[0-9A-Z]{5}$/

interface ErrorLike {
  readonly code?: unknown
  readonly message?: unknown
  readonly severity?: unknown
  readonly routine?: unknown
}

/** What the application's own password function threw: its codes (ECONNREFUSED of a secrets service) tell of no server of ours. */
const OWN = new WeakSet<object>()

/** From now on failureOf() takes this error for what it is: the server has asked for a password, and there is none. */
export function noteOwn(error: unknown): void {
  if (typeof error === 'object' && error !== null) OWN.add(error)
}

/** Never throws, whatever was thrown. */
export function failureOf(error: unknown, phase: Phase): Failure {
  const { code: raw, message: text, severity, routine } = (error ?? {}) as ErrorLike
  const code = typeof raw === 'string' ? raw : null
  const message = typeof text === 'string' && text !== '' ? text : (code ?? String(error))
  if (typeof error === 'object' && error !== null && OWN.has(error)) {
    return { kind: 'denied', sent: 'never', accuses: false, code, message, error }
  }
  if (NOT_QUERYABLE.has(message)) return { kind: 'lost', sent: 'never', accuses: true, code, message, error }
  if (code === null && MALFORMED.test(message)) {
    return { kind: 'caller', sent: 'never', accuses: false, code, message, error }
  }
  const row = rowOf(code, message, routine)
  const before = phase === 'connect'
  // After CommandComplete an extended-protocol statement may commit yet: the server's last words prove nothing then.
  const early = phase !== 'completed' || (severity === 'ERROR' && AT_COMMIT.test(code ?? ''))
  const undone = row.undone && early && severity !== 'WARNING'
  const sent: Sent = before ? 'never' : undone ? 'rejected' : 'maybe'
  const accuses = row.accuses || (before && row.kind === 'silent')
  return { kind: row.kind, sent, accuses, code, message, error }
}

/** Deferred constraints and triggers, and serialization, are checked right before the commit, and refuse it. */
const AT_COMMIT = /^(?:23|40|P0)/

/** Where the server raises 40001 for a conflict with recovery: until 16, and from 17 on. Elsewhere 40001 is the transaction's own. */
const CANCELLED_BY_REPLAY: ReadonlySet<unknown> = new Set(['ProcessInterrupts', 'ProcessRecoveryConflictInterrupt'])

const MISSING: Row = { kind: 'missing', accuses: false, undone: true }
const ISOLATION: Row = { kind: 'isolation', accuses: false, undone: true }

function rowOf(code: string | null, message: string, routine: unknown): Row {
  if (code === '40001' && CANCELLED_BY_REPLAY.has(routine)) return { kind: 'conflict', accuses: false, undone: true }
  // default_transaction_isolation = serializable, which no standby can give.
  if (code === '0A000' && routine === 'GetSerializableTransactionSnapshot') return ISOLATION
  // "cached plan must not change result type": a named statement from before an ALTER TABLE. No word about replicas.
  if (code === '0A000' && routine === 'RevalidateCachedQuery') return MISSING
  const known = code === null ? undefined : SQLSTATES[code]
  if (known !== undefined) return known
  const system = code === null ? UNCODED[message] : SYSTEM_CODES[code]
  if (system !== undefined) {
    const accuses = system === 'unreachable' || system === 'lost' || system === 'starting'
    return { kind: system, accuses, undone: false }
  }
  if (code !== null && SQLSTATE.test(code)) return { kind: 'statement', accuses: false, undone: true }
  return { kind: 'caller', accuses: false, undone: false }
}

/** A probe's failure -> what it proves about the node. */
export type Verdict = 'down' | 'suspect' | 'alive'

const VERDICTS = {
  unreachable: 'down', // nobody listens: a fresh connection was refused
  starting: 'down', // it listens, and takes no sessions
  lost: 'suspect', // one broken connection; the next probe tells
  silent: 'suspect', // down once nothing at all has been heard for silentMillis
  role: 'suspect', // the role flipped between test and call: probe again
  unfit: 'alive',
  isolation: 'alive',
  missing: 'alive',
  full: 'alive',
  denied: 'alive',
  conflict: 'alive',
  dropped: 'suspect',
  stale: 'alive',
  statement: 'alive',
  caller: 'suspect',
} as const satisfies Record<FailureKind, Verdict>

export function verdictOf(failure: Failure): Verdict {
  return VERDICTS[failure.kind]
}

/**
 * What all sessions of this pool with a node heard of it while a look at it failed. during: an answer came after the look was
 * sent. before: one came since the look before, and none after this one was sent. unasked: none came, but no session was asked
 * anything that a healthy server answers at once; only the login of the look went unanswered. none: none came.
 */
export type Answers = 'during' | 'before' | 'unasked' | 'none'

/** What says only that this one connection got no answer: it may be news about logins alone, or about that connection. */
const UNANSWERED: ReadonlySet<FailureKind> = new Set<FailureKind>(['silent', 'lost', 'caller'])

/**
 * The same beside what the other connections to the node heard meanwhile: a server that answers any of them is not silent, and
 * where none was asked their silence proves nothing.
 */
export function verdictBeside(failure: Failure, answers: Answers): Verdict | 'undecided' {
  if (!UNANSWERED.has(failure.kind)) return verdictOf(failure)
  if (answers === 'during') return 'alive'
  return answers === 'unasked' ? 'undecided' : verdictOf(failure)
}

/** A connection did not come in time: `queue` may be the doing of those who have them all. */
export function missedConnection({ code, message }: Failure): 'queue' | 'server' | null {
  if (code !== null) return null
  if (message === IN_QUEUE) return 'queue'
  return WHILE_CONNECTING.has(message) ? 'server' : null
}

/**
 * cannot_connect_now: the server itself has said it, so it is there to answer its sessions. Stopped, it ends each with a word
 * (57P01, fast) or lets it finish (smart). After a crash it has none left.
 */
export function isParting({ code }: Failure): boolean {
  return code === '57P03'
}

/** What is to be repeated: decided by the classifier and by what the caller already saw. */
export interface Repeatable {
  /** A stand-alone, buffered statement that only reads. */
  readonly read: boolean
  /** A single statement that the server undoes as a whole when it refuses it: not CALL, DO, COMMIT, nor several in one text. */
  readonly whole: boolean
}

/** Failures that another node may cure. 'statement', 'denied' and 'caller' are the caller's to see. */
const CURABLE: ReadonlySet<FailureKind> = new Set<FailureKind>([
  'unreachable',
  'starting',
  'lost',
  'silent',
  'role',
  'full',
  'conflict',
  'dropped',
  'stale',
])

/**
 * May the statement run again elsewhere? `never` always, `rejected` when it was undone as a whole, `maybe` only for a read.
 */
export function mayRetry(failure: Failure, what: Repeatable): boolean {
  if (!CURABLE.has(failure.kind)) return false
  switch (failure.sent) {
    case 'never':
      return true
    case 'rejected':
      return what.whole
    case 'maybe':
      return what.read && what.whole
    default:
      return failure.sent satisfies never
  }
}

/** What a replica refuses and the primary may do: `denied` by its login, where sessions with the primary may live. */
const PRIMARY_ONLY: ReadonlySet<FailureKind> = new Set<FailureKind>(['role', 'unfit', 'isolation', 'missing', 'denied'])

/**
 * May a statement that a replica failed run on the primary? It was called a read, so nobody minds if it runs, and a standby
 * cannot have committed anything.
 */
export function mayRepair(failure: Failure, what: Repeatable): boolean {
  if (!PRIMARY_ONLY.has(failure.kind)) return false
  return failure.sent === 'never' || (failure.sent === 'rejected' && what.read && what.whole)
}

/** CALL, DO and several statements in one text may have committed a part before the rest was refused. */
export function outcomeOf(failure: Failure, what: Repeatable): Outcome {
  switch (failure.sent) {
    case 'never':
      return 'not-sent'
    case 'rejected':
      return what.whole ? 'rolled-back' : 'unknown'
    case 'maybe':
      return 'unknown'
    default:
      return failure.sent satisfies never
  }
}

/** Where a statement failed that somebody sent in a session of their own. */
export interface Situation {
  /** A transaction block was open. */
  readonly inBlock: boolean
  /** `only`: it does nothing but commit that block. `perhaps`: what it does may commit. */
  readonly commits: 'no' | 'only' | 'perhaps'
  /** As in Repeatable. */
  readonly whole: boolean
  /** The session goes on. */
  readonly alive: boolean
}

/** As outcomeOf(); but what stands in a block is undone with it, unless that was told to commit. */
export function outcomeInSession(failure: Failure, { inBlock, commits, whole, alive }: Situation): Outcome {
  // A row that cannot be parsed, a query_timeout: the server has done it, or still does.
  const unanswered = failure.kind === 'caller' && alive
  if (failure.sent === 'never' || !inBlock || unanswered) return outcomeOf(failure, { read: false, whole })
  if (commits === 'no') return 'rolled-back'
  // A server that refuses to commit has undone everything; its last words (57P01) may have overtaken the commit.
  return commits === 'only' && failure.sent === 'rejected' && failure.kind !== 'lost' ? 'rolled-back' : 'unknown'
}
