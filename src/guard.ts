// A pg Client that gives no readable password away: for nodes that the user did not name. Whoever can add a row to
// pg_stat_replication could otherwise collect the application's password (cleartext), or a hash that is as good (md5).

import type { Client } from 'pg'
import { PgherdError } from './errors.js'

export type ClientClass = new (config?: object) => Client

/** The two methods of pg's Client that answer a server's request for a password it could keep. */
interface Answers {
  readonly connection?: { emit(event: 'error', error: Error): boolean }
  _handleAuthCleartextPassword(message: unknown): void
  _handleAuthMD5Password(message: unknown): void
}

export function withoutWeakAuth(Base: ClientClass): ClientClass {
  class Guarded extends Base {
    _handleAuthCleartextPassword(): void {
      refuse(this, 'a cleartext password')
    }
    _handleAuthMD5Password(): void {
      refuse(this, 'an md5 password')
    }
  }
  return Guarded satisfies new (
    config?: object
  ) => Client & Answers
}

function refuse(client: Client, asked: string): void {
  const { connection } = client as unknown as Answers
  const message =
    `a discovered server asks for ${asked}; it is refused. ` +
    'Use scram-sha-256 or certificates there, or name the host in the configuration.'
  connection?.emit('error', new PgherdError('PGHERD_WEAK_AUTH', message))
}
