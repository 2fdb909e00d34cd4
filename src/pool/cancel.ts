// Asks a server to cancel what a connection of its own is doing: a CancelRequest over a new connection, as PostgreSQL has it
// (protocol, section 54.2.8). Nobody is told whether it came in time: the answer of the statement itself says that.

import type { EventEmitter } from 'node:events'
import type { Client } from 'pg'
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
    readonly stream: { end(): void; destroy(): void; unref?(): void }
  }
}

/** `config`: how the server of `busy` is dialed. */
export function cancel(busy: Client, ClientOf: ClientClass, config: object): void {
  const { processID, secretKey } = busy as unknown as Internals
  const { connection, ssl, host, port } = new ClientOf(config) as unknown as Internals
  if (connection === undefined || processID === null || secretKey === null) return
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
