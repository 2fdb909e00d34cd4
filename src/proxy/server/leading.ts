// What goes ahead of a unit, in the same packet: settings of its client that the session does not have, what a transaction must be told.

import { difference, type Settings } from '../session/settings.js'
import type { ServerConnection } from './connection.js'

export function leadWith(connection: ServerConnection, text: string): void {
  const [exchange, bytes] = connection.question(text, (error) => {
    // What follows has run without it: nothing else may.
    if (error) connection.end('reset', error as Error, 'pgherd')
  })
  connection.lead(exchange, bytes)
}

/** Its session has these settings from then on. */
export function adopt(connection: ServerConnection, settings: Settings): void {
  const text = difference(connection.settings, settings)
  connection.settings = settings
  if (text !== null) leadWith(connection, text)
}
