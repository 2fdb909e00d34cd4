// What made an error object. One tap in front of pg's parser, at the only place where pg attaches it, plain and under TLS
// (Connection#attachListeners): it hands every byte on, and remembers of each error that this connection made whether the server
// said it, and how, or the socket, or pg. An error that it does not know was made by the application, or for another statement.

import type { EventEmitter } from 'node:events'
import type { Client } from 'pg'
import { isRefusal, type Source } from '../core/cluster/failure.js'
import type { Spoken } from '../core/cluster/sqlstates.js'
import { isA } from '../core/thrown.js'
import { openOutcome, PgherdError } from '../errors.js'
import { type Fault, Frames, type Given, RESULT_BYTES, type Terms } from './frames.js'

type Parse = (chunk: Buffer) => void

/** What pg has and its published types do not name. The native client has no `connection`. */
interface Internals {
  readonly connection?: Connection
  /** Only the native client has it. */
  readonly native?: unknown
  _errorAllQueries?(error: unknown): void
  _getPassword?(told: () => void): void
  _getActiveQuery?(): unknown
}

interface Connection extends EventEmitter {
  readonly stream?: EventEmitter & { destroy(): void }
  attachListeners?(stream: EventEmitter): void
}

interface Made {
  readonly source: Source
  readonly connection: object
  readonly owner: object
  /** Errors are counted: what is older than a statement was not made for it. */
  readonly number: number
}

const made = new WeakMap<object, Made>()
let count = 0

/** Bytes that have come on a connection, as often as some came. */
const heard = new WeakMap<Client, { times: number }>()

/** What is taken from a server. */
export interface Intake extends Pick<Terms, 'refusesAuth'> {
  /** The longest message behind the login, in bytes; PostgreSQL's longest unless told. */
  readonly limitBytes?: number
}

const ANYTHING: Intake = { refusesAuth: () => null }

/**
 * Called in the client's constructor, so that its listeners run before pg's own. `owner` is whatever waits for the connection while
 * there is no client to name.
 */
export function tap(client: Client, owner: object, intake: Intake = ANYTHING): void {
  const internals = client as unknown as Internals
  const { connection } = internals
  if (connection === undefined) return
  const ears = { times: 0 }
  heard.set(client, ears)
  const note = (error: unknown, source: Source) => {
    if (isObject(error)) made.set(error, { source, connection, owner, number: ++count })
  }
  const noteOther = (error: unknown) => {
    if (isObject(error) && made.get(error)?.connection === connection) return
    note(error, isA(error, PgherdError) ? 'pgherd' : 'driver')
  }
  const noteSocket = (error: unknown) => note(error, 'socket')
  let asking = false
  watchPassword(internals, (is) => {
    asking = is
  })
  connection.stream?.on('error', noteSocket)
  let frames: Frames | null = null
  // What the application's password function throws is told in the same way.
  connection.on('error', (error) => {
    if (!asking) noteOther(error)
    // pg does not end a login that it takes for failed, and would take a welcome that comes then for a second answer.
    if (frames?.giveUp()) process.nextTick(() => connection.stream?.destroy())
  })
  shadow<unknown>(internals, '_errorAllQueries', (errorAll) => (error) => {
    noteOther(error)
    errorAll(error)
  })
  const refuse = (fault: Fault) => {
    const error = errorOf(fault, client)
    // It was sent, and what has become of it the sender of the statement says.
    if (internals._getActiveQuery?.()) openOutcome(error)
    note(error, 'pgherd')
    asking = false
    // The server is not to go on: what it sends is not looked at any more.
    connection.stream?.destroy()
    connection.emit('error', error)
  }
  const terms: Terms = {
    limitBytes: intake.limitBytes ?? RESULT_BYTES,
    refusesAuth: intake.refusesAuth,
    expects: (letter) => isExpected(internals, letter),
  }
  const framesOf = () => {
    frames = new Frames(terms)
    return frames
  }
  listen(connection, ears, note, noteSocket, framesOf, refuse)
}

function errorOf({ kind, text }: Fault, { host, port }: Client): PgherdError {
  const place = `${host}:${port}`
  switch (kind) {
    case 'protocol':
      return new PgherdError(
        'PGHERD_PROTOCOL',
        `${place} ${text}: it is no PostgreSQL server, or something between changes what it says.`
      )
    case 'size':
      return new PgherdError('PGHERD_PROTOCOL', `${place} ${text}. Read large values in parts.`)
    case 'unsupported':
      return new PgherdError('PGHERD_AUTH', `${place} ${text}. Use scram-sha-256 or certificates in its pg_hba.conf.`)
    case 'refused':
      return new PgherdError('PGHERD_WEAK_AUTH', `${place} ${text}.`)
    default:
      return kind satisfies never
  }
}

/** What a statement must have a method for: its absence would be thrown inside the listener of a socket. */
const HANDLERS: Readonly<Record<Given, string>> = {
  T: 'handleRowDescription',
  D: 'handleDataRow',
  'bare D': 'handleDataRow',
  C: 'handleCommandComplete',
  I: 'handleEmptyQuery',
  s: 'handlePortalSuspended',
  G: 'handleCopyInResponse',
  d: 'handleCopyData',
}

/** Where there is no statement at all pg itself says so. */
function isExpected(client: Internals, given: Given): boolean {
  const statement = client._getActiveQuery?.() as Readonly<Record<string, unknown>> | null | undefined
  if (!statement) return true
  if (typeof statement[HANDLERS[given]] !== 'function') return false
  switch (given) {
    case 's':
      // pg asks for the next rows then, with no end.
      return !('_accumulateRows' in statement) || Boolean(statement.rows)
    case 'D':
    case 'bare D':
      return takesRows((statement.cursor ?? statement) as Readonly<Record<string, unknown>>, given)
    default:
      return true
  }
}

/** pg's Query reads a row by its description, and so does a cursor, which throws where it has none, or has not asked for rows. */
function takesRows(statement: Readonly<Record<string, unknown>>, given: 'D' | 'bare D'): boolean {
  const asksFor = typeof statement._sendRows !== 'function' || statement._rows !== null
  return asksFor && (given === 'D' || !('_result' in statement))
}

/** Puts itself between the stream and pg's parser. */
function listen(
  connection: Connection,
  ears: { times: number },
  note: (error: unknown, source: Source) => void,
  noteSocket: (error: unknown) => void,
  framesOf: () => Frames,
  refuse: (fault: Fault) => void
): void {
  let ready = false
  let begun = false
  let spoken: Spoken | null = null
  connection.on('commandComplete', () => {
    begun = true
  })
  connection.on('readyForQuery', () => {
    ready = true
    begun = false
  })
  connection.on('errorMessage', (error: { readonly code?: unknown; readonly routine?: unknown }) => {
    const said = spoken
    spoken = null
    // A message that the parser cannot read is an error of its own, and one that a listener's throw has kept comes again.
    if (said === null || (error.code ?? null) !== said.code || (error.routine ?? null) !== said.routine) return
    note(error, ready && !begun ? said : { ...said, begun, starting: !ready })
  })
  shadow<EventEmitter>(connection, 'attachListeners', (attach) => (stream) => {
    if (stream !== connection.stream) stream.on('error', noteSocket)
    const reads = (parse: Parse) => {
      const tell = (error: Spoken | null) => {
        spoken = error
      }
      return inPieces(parse, framesOf(), tell, ears, refuse)
    }
    attach(tapped(stream, reads))
  })
}

/** The stream as the parser sees it. */
function tapped(stream: EventEmitter, reads: (parse: Parse) => Parse): EventEmitter {
  const seen = Object.create(stream) as EventEmitter
  seen.on = (event, listener) => {
    stream.on(event, event === 'data' ? reads(listener as Parse) : listener)
    return seen
  }
  return seen
}

/**
 * Hands whole messages on, up to the end of an error first, so that the error which the parser makes then is that one. What a
 * listener throws is thrown as with pg: what came behind it is looked at when more comes.
 */
function inPieces(
  parse: Parse,
  frames: Frames,
  tell: (error: Spoken | null) => void,
  ears: { times: number },
  refuse: (fault: Fault) => void
): Parse {
  return (chunk) => {
    ears.times++
    if (frames.fault !== null) return
    frames.push(chunk)
    try {
      for (let whole = frames.next(); whole !== null; whole = frames.next()) {
        tell(frames.error)
        parse(whole)
      }
    } finally {
      tell(null)
    }
    if (frames.fault !== null) refuse(frames.fault)
  }
}

function watchPassword(client: Internals, tell: (asking: boolean) => void): void {
  shadow<() => void>(client, '_getPassword', (ask) => (told) => {
    tell(true)
    ask(() => {
      tell(false)
      told()
    })
  })
}

/** Overrides one method of one object, unseen where its properties are listed. */
function shadow<A>(target: object, name: string, over: (method: (argument: A) => void) => (argument: A) => void): void {
  const method = (target as Record<string, unknown>)[name]
  if (typeof method !== 'function') return
  const value = over(method.bind(target) as (argument: A) => void)
  Object.defineProperty(target, name, { value, configurable: true, writable: true, enumerable: false })
}

/** The newest error's number: what comes later was made later. */
export function mark(): number {
  return count
}

/** What made this error. `where`: the client that it was told on, or the owner of its connection. Older than `since`: not for this. */
export function sourceOf(error: unknown, where: object, since: number): Source {
  const found = isObject(error) ? made.get(error) : undefined
  const { connection, native } = where as Internals
  if (native !== undefined) return sourceOfNative(error)
  if (found === undefined || found.number <= since) return 'unproven'
  return found.owner === where || found.connection === connection ? found.source : 'unproven'
}

/** What made this error, on whatever connection: for pgherd's own questions, which share theirs with nothing. */
export function madeBy(error: unknown): Source {
  return (isObject(error) ? made.get(error)?.source : undefined) ?? 'unproven'
}

/**
 * libpq's errors have no severity that is not localised, and nothing tells them from the application's own. So they are taken at their
 * word, accuse nothing, and what they refuse is not run again.
 */
function sourceOfNative(error: unknown): Source {
  const { code, severity, routine } = (error ?? {}) as Record<'code' | 'severity' | 'routine', unknown>
  if (code === undefined) return 'driver'
  if (typeof code !== 'string' || typeof severity !== 'string') return 'unproven'
  return {
    code,
    severity: null,
    routine: typeof routine === 'string' ? routine : null,
    nested: false,
    begun: false,
    starting: false,
  }
}

/**
 * What made the error that a pool of pg gives instead of a connection: `owner`'s connections, a hook (which has disowned it), or
 * that pool itself.
 */
export function sourceOfMissing(error: unknown, owner: object, since: number): Source {
  return isObject(error) && !made.has(error) ? 'driver' : sourceOf(error, owner, since)
}

/** The application's code threw it. An error of the connection that it only lets out stays what it is. */
export function disown(error: unknown): void {
  if (isObject(error) && !made.has(error))
    made.set(error, { source: 'unproven', connection: error, owner: error, number: 0 })
}

/** sourceOf(), of a statement that pg itself may have refused: while nothing was `heard` since, no answer's parser has thrown it. */
export function sourceOfStatement(error: unknown, client: Client, since: number, heard: number): Source {
  const source = sourceOf(error, client, since)
  return source === 'unproven' && heardOn(client) === heard && isRefusal(error) ? 'driver' : source
}

/** How often bytes have come on this client's connection: where none came, no answer was parsed and no code of the application ran. */
export function heardOn(client: Client): number {
  return heard.get(client)?.times ?? 0
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}
