// pg's client, where what its server says and what ends it passes by: an error has its outcome before its caller gets it, and a fault of
// the application's in a handler of a socket ends no process.

import type { EventEmitter } from 'node:events'
import type { Client as PgClient } from 'pg'
import { failureOf } from '../core/cluster/failure.js'
import { errorOf } from '../core/thrown.js'
import type { Undone } from '../core/undone.js'
import { noteFate, noteRest, noteUnread, unsubmitted } from './fate.js'
import type { QueryableClass } from './internals.js'
import { giveUpAside } from './own-query.js'
import { sourceOf } from './tap.js'
import { sessionOf } from './watch.js'
import type { ClientClass } from './weak-auth.js'

/** `undone`: what a server takes back of a text that it refuses. */
export function watchedClass(Base: ClientClass, undone: (text: string) => Undone): QueryableClass {
  return class Client extends (Base as unknown as QueryableClass) {
    override _handleErrorMessage(message: unknown): void {
      const client = this as unknown as PgClient
      const session = sessionOf(client)
      if (session !== undefined) noteFate(message, client, session, undone)
      // What ends an idle session is told as ever, also while a probe asks something there.
      if (failureOf(message, 'idle', sourceOf(message, client, 0)).kind === 'lost') giveUpAside(client, message)
      super._handleErrorMessage?.(message)
    }

    override _errorAllQueries(error: unknown): void {
      const client = this as unknown as PgClient
      const session = sessionOf(client)
      if (session !== undefined) {
        noteFate(error, client, session, undone)
        noteRest(error, client, session)
      }
      super._errorAllQueries(error)
    }

    /** In the handler of a socket's data, where a Promise class of the application's is asked first. */
    override _getPassword(done: () => void): void {
      try {
        super._getPassword?.(done)
      } catch (error) {
        const { connection } = this as unknown as { readonly connection: EventEmitter }
        connection.emit('error', errorOf(error, 'option Promise'))
      }
    }

    override _handleReadyForQuery(message: unknown): void {
      const client = this as unknown as PgClient
      const session = sessionOf(client)
      if (session !== undefined) noteUnread(client, session)
      try {
        super._handleReadyForQuery?.(message)
      } catch (error) {
        if (!unsubmitted(client, error)) throw error
      }
    }
  }
}
