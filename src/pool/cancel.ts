// Asks a server to cancel what a connection of its own is doing: a CancelRequest over a new connection, as PostgreSQL has it
// (protocol, section 54.2.8). Nobody is told whether it came in time: the answer of the statement itself says that.

import type { EventEmitter } from 'node:events'
import type { Client } from 'pg'
import type { Clock } from '../clock.js'
import type { ClientClass } from '../guard.js'

/** What pg's client has, and its types do not name. */
interface Internals {
  readonly processID: number | null
  readonly secretKey: number | null
  readonly ssl: unknown
  readonly host: string
  readonly port: number
  readonly connection?: EventEmitter & {
    connect(port: number | string, host?: string): void
    requestSsl(): void
    cancel(processID: number, secretKey: number): void
    readonly stream: EventEmitter & { end(): void; destroy(): void; unref?(): void }
  }
}

const DEADLINE_MILLIS = 5_000

/** `config`: how the server of `busy` is dialed. Resolves when the server has heard it, or will not. */
export function cancel(busy: Client, ClientOf: ClientClass, config: object, clock: Clock): Promise<void> {
  const { processID, secretKey } = busy as unknown as Internals
  const { connection, ssl, host, port } = new ClientOf(config) as unknown as Internals
  if (connection === undefined || processID === null || secretKey === null) return Promise.resolve()
  // A server that does not even take the connection: nobody waits for it, and it keeps no process alive.
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
  // A server that cannot be reached does nothing for anybody any more.
  connection.on('error', () => connection.stream.destroy())
  connection.once('connect', () => (ssl ? connection.requestSsl() : ask()))
  connection.once('sslconnect', ask)
  if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`)
  else connection.connect(port, host)
  return over
}

/** `work`, or the signal's reason as soon as it is aborted. What comes too late is given to `discard`. */
export function abortable<T>(work: Promise<T>, signal: AbortSignal, discard?: (late: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    let over = false
    const aborted = () => {
      over = true
      reject(signal.reason)
    }
    const done = () => signal.removeEventListener('abort', aborted)
    signal.addEventListener('abort', aborted)
    work.then(
      (result) => {
        done()
        if (over) discard?.(result)
        else resolve(result)
      },
      (error) => {
        done()
        reject(error)
      }
    )
  })
}
