// What a client has left on a connection that it gives back is cleaned before another client can get it, however the client went.

import type { ServerConnection } from './connection.js'

/** All that a session can be left with, but for prepared statements, which are the proxy's own. */
export const CLEAN =
  'SET SESSION AUTHORIZATION DEFAULT; RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all(); ' +
  'DISCARD TEMP; DISCARD SEQUENCES'

/** Statements that the server has under names: of the client's own (PREPARE), or outdated by DDL. */
const FORGET = 'DEALLOCATE ALL'

/** False: the connection cannot be used again. */
export async function cleaned(connection: ServerConnection): Promise<boolean> {
  try {
    if (connection.cancelling !== null) {
      await connection.cancelling
      // A signal may come late: it must not hit the next client. An empty query absorbs it.
      connection.cancelling = null
      await connection.ask('').catch((error) => {
        if (connection.isDead) throw error
      })
    }
    if (connection.isBusy) await connection.ask('')
    if (connection.status !== 'I') await connection.ask('ROLLBACK')
    if (connection.status !== 'I') return false
    if (connection.isStale || connection.isSoiled) {
      const soiled = connection.isSoiled
      if (soiled) await connection.ask(CLEAN)
      await connection.ask(FORGET)
      connection.wiped(soiled)
    }
    return !connection.isDead
  } catch {
    return false
  }
}
