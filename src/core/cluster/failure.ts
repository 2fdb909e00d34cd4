// Any error -> a Failure: what happened, whether the statement can have run, whether it accuses the node. And mayRetry().
// Decides by the source of the error object, then by what that source can say: a server by severity, SQLSTATE and routine, a socket
// by its code, pg by the texts of its errors, which carry no code. An error of another source proves nothing.

import { propertyOf, textOf } from '../thrown.js'
import { isRepeatable, isUndone, type Undone } from '../undone.js'
import { IN_QUEUE, MALFORMED, NOT_QUERYABLE, SYSTEM_CODES, UNCODED, WHILE_CONNECTING } from './error-texts.js'
import { type FailureKind, isUnparsed, meaningOf, rowAt, type Spoken, speaksOfSession } from './sqlstates.js'

export type { Spoken } from './sqlstates.js'

/**
 * never: no byte of the statement left. unparsed: the server could not read it, so none of it was executed, however many statements
 * it was. rejected: the server answered and nothing happened. maybe: it may have been executed. done: the server has said that it
 * is committed; what failed came behind that.
 */
export type Sent = 'never' | 'unparsed' | 'rejected' | 'maybe' | 'done'

/** The source of an error object, known by its identity, not by its class, code or text. */
export type Source =
  /** The server: this connection's parser read it while the statement was under way. */
  | Spoken
  /** pg or pg-pool, on this connection. */
  | 'driver'
  /** The socket, the resolver or TLS, of this connection. */
  | 'socket'
  /** pgherd. */
  | 'pgherd'
  /** Anything else: a type parser, a hook, a callback, an error that was kept from another statement. */
  | 'unproven'

/** What an error is about: the server or its session, the statement, the connection, or nothing of these. */
export type Origin = 'server' | 'statement' | 'socket' | 'driver' | 'pgherd' | 'caller'

export type Outcome = 'not-sent' | 'rolled-back' | 'committed' | 'unknown'

export interface Failure {
  readonly kind: FailureKind
  readonly sent: Sent
  /** The node is worth a probe at once. */
  readonly accuses: boolean
  readonly origin: Origin
  /** As the server wrote it; null: it did not, or the error is not the server's. */
  readonly severity: Spoken['severity']
  /** SQLSTATE, errno name or null. */
  readonly code: string | null
  readonly message: string
  /** The error as it came, to be passed through. */
  readonly error: unknown
}

/**
 * Where the error arose. `handed`: the statement was given to a connection. `completed`: its commit may be under way.
 * `committed`: its commit was answered.
 */
export type Phase = 'connect' | 'handed' | 'completed' | 'committed' | 'idle'

interface Row {
  readonly kind: FailureKind
  readonly accuses: boolean
  readonly undone: boolean
}

/** Our own errors that are met on the way to another attempt. */
const OURS: Readonly<Record<string, Row>> = {
  // The node's connections were given up; a fresh connection is behind; a server asked for a readable password.
  PGHERD_DROPPED: { kind: 'dropped', accuses: false, undone: true },
  PGHERD_STALE: { kind: 'stale', accuses: false, undone: true },
  PGHERD_MOVED: { kind: 'starting', accuses: true, undone: true }, // another server answers there: the node is probed again
  PGHERD_NOT_PRIMARY: { kind: 'role', accuses: true, undone: true },
  PGHERD_NOT_REPLICA: { kind: 'role', accuses: true, undone: true },
  PGHERD_WEAK_AUTH: { kind: 'denied', accuses: false, undone: true },
  PGHERD_AUTH: { kind: 'denied', accuses: false, undone: true }, // it asks for a login that pg cannot do
  PGHERD_VERSION: { kind: 'denied', accuses: false, undone: true }, // it is older than what a probe can ask
  PGHERD_PROTOCOL: { kind: 'lost', accuses: true, undone: false }, // what it sends is not what PostgreSQL sends
}

const NOT_OURS: Row = { kind: 'caller', accuses: false, undone: false }

/** Errors of the application's password function: their codes (ECONNREFUSED of a secrets service) say nothing about the server. */
const OWN = new WeakSet<object>()

/** From now on failureOf() reads this error as: the server has asked for a password, and there is none. */
export function noteOwn(error: unknown): void {
  if (typeof error === 'object' && error !== null) OWN.add(error)
}

/** Never throws, whatever was thrown. `source`: the source of the error, as far as that is proven. */
export function failureOf(error: unknown, phase: Phase, source: Source = 'unproven'): Failure {
  if (typeof source === 'object') return spokenFailure(error, phase, source)
  const { code, message } = labelOf(error)
  if (typeof error === 'object' && error !== null && phase === 'connect' && OWN.has(error)) {
    return { kind: 'denied', sent: 'never', accuses: false, origin: 'caller', severity: null, code, message, error }
  }
  const row = rowOf(code, message, source)
  const isUnsent = phase === 'connect' || (source === 'driver' && isRefusal(error))
  const answered = phase === 'committed' ? 'done' : row.undone && phase !== 'completed' ? 'rejected' : 'maybe'
  const sent = isUnsent ? 'never' : answered
  const accuses = row.accuses || (phase === 'connect' && row.kind === 'silent')
  const origin = source === 'unproven' ? 'caller' : source
  return { kind: row.kind, sent, accuses, origin, severity: null, code, message, error }
}

/** The failure that a server's own error stands for. */
function spokenFailure(error: unknown, phase: Phase, spoken: Spoken): Failure {
  const { code, severity } = spoken
  const { kind, accuses, undone } = meaningOf(spoken)
  // After CommandComplete an extended-protocol statement may commit yet: the server's last words prove nothing then.
  const early = phase !== 'completed' || (severity === 'ERROR' && (spoken.nested || AT_COMMIT.test(code ?? '')))
  const answered = isUnparsed(spoken) ? 'unparsed' : undone && early ? 'rejected' : 'maybe'
  const sent = phase === 'connect' ? 'never' : phase === 'committed' ? 'done' : answered
  const origin = speaksOfSession(spoken) ? 'server' : 'statement'
  return { kind, sent, accuses, origin, severity, code, message: labelOf(error, code).message, error }
}

/** Code and text of whatever was thrown. */
function labelOf(error: unknown, spoken: string | null = null): { code: string | null; message: string } {
  const [raw, text] = [propertyOf(error, 'code'), propertyOf(error, 'message')]
  const code = spoken ?? (typeof raw === 'string' ? raw : null)
  return { code, message: typeof text === 'string' && text !== '' ? text : (code ?? textOf(error)) }
}

/** Deferred constraints and triggers, and serialization, are checked right before the commit, and refuse it. A function runs then, too. */
const AT_COMMIT = /^(?:23|40|P0)/

/** pg's words for a statement that it refuses, so that no byte of it leaves. They count where pg itself has said them. */
export function isRefusal(error: unknown): boolean {
  const { code, message } = labelOf(error)
  return NOT_QUERYABLE.has(message) || (code === null && MALFORMED.test(message))
}

function rowOf(code: string | null, message: string, source: Exclude<Source, Spoken>): Row {
  if (source === 'unproven') return NOT_OURS
  if (source === 'pgherd') return rowAt(OURS, code) ?? NOT_OURS
  if (source === 'driver' && NOT_QUERYABLE.has(message)) return { kind: 'lost', accuses: true, undone: false }
  const kind = code === null ? rowAt(UNCODED, message) : rowAt(SYSTEM_CODES, code)
  if (kind === undefined) return NOT_OURS
  return { kind, accuses: kind === 'unreachable' || kind === 'lost' || kind === 'starting', undone: false }
}

/** A probe's failure -> what it proves about the node. */
export type Verdict = 'down' | 'suspect' | 'alive'

const VERDICTS = {
  unreachable: 'down', // no server listens: a fresh connection was refused
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
 * What all sessions of this pool received from a node while a probe of it failed. during: an answer came after the probe was
 * sent. before: one came since the last probe, and none after this one was sent. unasked: none came, but no session had sent
 * anything that a healthy server answers at once; only the login of the probe got no answer. none: none came.
 */
export type Answers = 'during' | 'before' | 'unasked' | 'none'

/** Failures that say only that this one connection got no answer: the cause may be logins alone, or that connection. */
const UNANSWERED: ReadonlySet<FailureKind> = new Set<FailureKind>(['silent', 'lost', 'caller'])

/**
 * The same, with what the other connections to the node received meanwhile. A server that answers any of them is not silent.
 * Where none was asked, their silence proves nothing.
 */
export function verdictBeside(failure: Failure, answers: Answers): Verdict | 'undecided' {
  if (!UNANSWERED.has(failure.kind)) return verdictOf(failure)
  if (answers === 'during') return 'alive'
  return answers === 'unasked' ? 'undecided' : verdictOf(failure)
}

/** A connection was not ready in time. `queue`: perhaps because callers hold all connections of the pool. */
export function missedConnection({ code, message, origin }: Failure): 'queue' | 'server' | null {
  if (code !== null || origin === 'caller') return null
  if (message === IN_QUEUE) return 'queue'
  return WHILE_CONNECTING.has(message) ? 'server' : null
}

/**
 * cannot_connect_now: the server itself sent it, so the server can still answer its sessions. When it is stopped, it ends each
 * session with an error (57P01, fast) or lets it finish (smart). After a crash it has no session left.
 */
export function isParting({ code, origin }: Failure): boolean {
  return code === '57P03' && origin === 'server'
}

/** What is to be repeated: decided by the classifier and by what the caller already saw. */
export interface Repeatable {
  /** A stand-alone, buffered statement that only reads. */
  readonly read: boolean
  /** What a server takes back when it refuses it. */
  readonly undone: Undone
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
 * May the statement run again elsewhere? `never` always, `rejected` when it was undone as a whole, `maybe` only for a read,
 * `done` never.
 */
export function mayRetry(failure: Failure, what: Repeatable): boolean {
  if (!CURABLE.has(failure.kind)) return false
  switch (failure.sent) {
    case 'never':
    case 'unparsed':
      return true
    case 'rejected':
      return isRepeatable(what.undone)
    case 'maybe':
      return what.read && isRepeatable(what.undone)
    case 'done':
      return false
    default:
      return failure.sent satisfies never
  }
}

/** What a replica refuses and the primary may do: `denied` by its login, where sessions with the primary may live. */
const PRIMARY_ONLY: ReadonlySet<FailureKind> = new Set<FailureKind>(['role', 'unfit', 'isolation', 'missing', 'denied'])

/**
 * May a statement that a replica failed run on the primary? It was classified as a read, so running it does no harm,
 * and a standby cannot have committed anything.
 */
export function mayRepair(failure: Failure, what: Repeatable): boolean {
  if (!PRIMARY_ONLY.has(failure.kind)) return false
  return failure.sent === 'never' || (failure.sent === 'rejected' && what.read && isRepeatable(what.undone))
}

/** A statement that is not undone as a whole may have left something before it was refused. */
export function outcomeOf(failure: Failure, what: Repeatable): Outcome {
  switch (failure.sent) {
    case 'never':
      return 'not-sent'
    case 'unparsed':
      return 'rolled-back'
    case 'rejected':
      return isUndone(what.undone, false) ? 'rolled-back' : 'unknown'
    case 'maybe':
      return 'unknown'
    case 'done':
      return 'committed'
    default:
      return failure.sent satisfies never
  }
}
