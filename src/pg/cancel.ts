// Asks a server to cancel what a connection of its own is doing: a CancelRequest over a new connection, as PostgreSQL has it
// (protocol, section 54.2.8). PostgreSQL does not say whether it came in time: the answer of the statement itself does.

import type { EventEmitter } from 'node:events'
import type { Client } from 'pg'
import type { Alarm, Clock } from '../runtime/clock.js'
import { tap } from './tap.js'
import { free } from './turn.js'
import type { ClientClass } from './weak-auth.js'

/** What pg's client has, and its types do not name. */
interface Internals {
  readonly processID: number | null
  readonly secretKey: number | null
  readonly ssl: unknown
  /** 'direct': the TLS handshake comes first, and pg begins it by itself. Absent in older copies of pg. */
  readonly sslNegotiation?: string
  readonly host: string
  readonly port: number
  /** libpq, which cancels by itself. */
  readonly native?: { cancel(done: () => void): void }
  readonly connection?: EventEmitter & {
    connect(port: number | string, host?: string): void
    requestSsl(): void
    cancel(processID: number, secretKey: number): void
    readonly stream: EventEmitter & { end(): void; destroy(): void; unref?(): void }
  }
}

const NO_ANSWER = { refusesAuth: () => 'asks for a login in answer to a cancel request' }

const DEADLINE_MILLIS = 5_000

/** The first pause; each is twice as long as the one before. */
const AGAIN_MILLIS = 100

/**
 * `config`: how the server of `busy` is dialed. Resolves when the statement is over and no request is on its way. A request
 * that overtakes its statement finds nothing to cancel, and no answer says so: it is sent again.
 */
export async function cancel(busy: Client, ClientOf: ClientClass, config: object, clock: Clock): Promise<void> {
  const over = free(busy).then(() => true)
  for (let pause = AGAIN_MILLIS; ; pause *= 2) {
    await request(busy, ClientOf, config, clock)
    let again: Alarm | undefined
    const late = new Promise<boolean>((resolve) => {
      again = clock.alarm(pause, () => resolve(false))
    })
    const done = await Promise.race([over, late])
    again?.cancel()
    if (done) return
  }
}

/**
 * One request: it may overtake its statement, or come when that is over. Resolves when the server has heard it, or will not.
 */
export function request(busy: Client, ClientOf: ClientClass, config: object, clock: Clock): Promise<void> {
  const { processID, secretKey, native } = busy as unknown as Internals
  if (native !== undefined) return new Promise((resolve) => native.cancel(() => resolve()))
  const client = new ClientOf(config)
  const { connection, ssl, sslNegotiation, host, port } = client as unknown as Internals
  if (connection === undefined || processID === null || secretKey === null) return Promise.resolve()
  // A server has nothing to say to such a request, and what it says all the same is a stranger's input.
  tap(client, client, NO_ANSWER)
  // A server that does not even take the connection is not waited for, and keeps no process alive.
  const late = clock.alarm(DEADLINE_MILLIS, () => connection.stream.destroy())
  const over = new Promise<void>((resolve) => {
    connection.stream.once('close', () => {
      late.cancel()
      resolve()
    })
  })
  connection.stream.unref?.()
  const ask = () => {
    connection.cancel(processID, secretKey)
    connection.stream.end()
  }
  // A server that cannot be reached does no work any more.
  connection.on('error', () => connection.stream.destroy())
  connection.once('connect', () => {
    if (!ssl) ask()
    else if (sslNegotiation !== 'direct') connection.requestSsl()
  })
  connection.once('sslconnect', ask)
  if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`)
  else connection.connect(port, host)
  return over
}
