// Asks a server to cancel what one of the proxy's connections does for a client. The connection goes to no other client before the request
// has been heard: a signal that comes late would hit that client's statement.

import type { Duplex } from 'node:stream'
import type { Clock } from '../../runtime/clock.js'
import { cancelRequest } from '../wire/write.js'
import type { ServerConnection } from './connection.js'
import { type Dialing, reach } from './dial.js'

/** Resolves when the server has closed the connection of the request, or cannot be reached in time. */
export function cancelOn(
  connection: ServerConnection,
  ssl: Dialing['ssl'],
  millis: number,
  clock: Clock
): Promise<void> {
  const { pid, secret, node } = connection
  if (pid === null || connection.isDead) return Promise.resolve()
  const heard = new Promise<void>((resolve) => {
    let raw: Duplex | null = null
    const alarm = clock.alarm(millis, () => raw?.destroy())
    const over = () => {
      alarm.cancel()
      resolve()
    }
    reach(node.address, ssl, (socket) => {
      raw = socket
    }).then((socket) => {
      socket.on('error', over)
      socket.once('close', over)
      socket.resume()
      socket.end(cancelRequest(pid, secret))
    }, over)
  })
  const before = connection.cancelling
  connection.cancelling = before === null ? heard : Promise.all([before, heard]).then(() => {})
  return heard
}
