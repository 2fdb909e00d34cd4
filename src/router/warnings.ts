// What keeps a pool from using its replicas, told as process warnings: each cause once for each pool.

import { printable } from '../core/words.js'

const STRINGS =
  'a server or session has standard_conforming_strings = off, or an encoding in which a backslash can be half of a ' +
  'character, so the texts of statements cannot be read: everything runs on the primary until that is no longer so.'

const UNREADABLE =
  'the catalogue cannot be read, so your functions run on the primary, and what views and policies reach is not seen: ' +
  'give the role the right to read pg_catalog, or list what needs the primary in primaryFunctions and primaryRelations'

const UNPAIRED =
  'this copy of pg cannot send two statements on one connection at a time (pg 8.23 and newer can), so a replica shows its ' +
  'position in a trip of its own before a read, and no position comes with a write. Reads behind writes take longer, or run ' +
  'on the primary; what they are proven to see is the same.'
const NATIVE =
  'replicas were found and are not used: with pg.native nothing keeps a server that was found from being sent the password in ' +
  'a form that it can read. Name the servers, or take the JavaScript client.'
const UNPROVEN =
  'no primary is known, so the bound is not proven: all named hosts are in recovery, and reads run on them as they are. Name a ' +
  'host that leads to the primary, or set maxLagMillis: Infinity if any age will do.'

const pooledText = (key: string) =>
  `${key} is a pooler (another process of the server answers than the one that took the login), so what one connection proves ` +
  'says nothing of the next: writes and what runs on the primary work, and no bound of a read on a replica is sure. Name the ' +
  'servers themselves, past the pooler. If that cannot be, maxLagMillis: 0 reads from the primary only.'

const portsText = (found: string, listens: number, dialled: number) =>
  `the primary listens on port ${listens} and is dialled at port ${dialled}, so something in between maps ports: the replica that ` +
  `pg_stat_replication lists is looked for at ${found}. If it does not answer there, say where replicas listen with ` +
  'discovery: replication({ address }), or name them among the hosts.'

/** Why all replicas are left alone, and what the reader of the warning can do. */
export const ASIDE = {
  isolation: {
    code: 'PGHERD_SERIALIZABLE',
    reason: 'default_transaction_isolation is serializable, which no replica can give (0A000)',
    advice: "Set it to 'repeatable read' or lower for this role or database, then make a new pool.",
  },
  hook: {
    code: 'PGHERD_HOOK',
    reason: 'a connection hook (onConnect, verify or a connect listener) tried to write on a replica (25006)',
    advice: 'Let hooks only change the session (SET, set_config), and do the writing elsewhere.',
  },
} as const

/** The session state that a text through query() has left. */
const stateText = (what: string) =>
  `a statement of query() has left state in the session of its connection (${what}). As with pg.Pool, whatever gets that ` +
  'connection next runs with it, and other connections are without it. Take a client with connect() for what needs a session, ' +
  'or set it up in onConnect.'

export class Warnings {
  readonly #told = new Set<string>()

  /** Why replicas are left alone from now on. */
  aside(cause: keyof typeof ASIDE): string {
    const { reason, code, advice } = ASIDE[cause]
    this.#warn(code, `${reason}. Replicas are set aside: the statements of this pool run on the primary. ${advice}`)
    return reason
  }

  strings(): void {
    this.#warn('PGHERD_STRINGS', STRINGS)
  }

  /** Without a catalogue it is not known what views and policies reach: the user may know. */
  unreadable(message: string): void {
    this.#warn('PGHERD_CATALOGUE', `${UNREADABLE} (${printable(message)}).`)
  }

  /** This copy of pg sends one statement at a time, so no question can travel with one. */
  unpaired(): void {
    this.#warn('PGHERD_PIPELINE', UNPAIRED)
  }

  /** libpq's binding sends the password to whatever server asks for it. */
  native(): void {
    this.#warn('PGHERD_NATIVE', NATIVE)
  }

  /** A server is not reached itself: what stands at its address lends connections. */
  pooled(key: string): void {
    this.#warn('PGHERD_POOLER', pooledText(printable(key)))
  }

  /** A replica was found at the port of the primary, which is not the one that the primary itself has. */
  ports(found: string, listens: number, dialled: number): void {
    this.#warn('PGHERD_PORTS', portsText(printable(found), listens, dialled))
  }

  unproven(): void {
    this.#warn('PGHERD_UNPROVEN', UNPROVEN)
  }

  sessionState(what: string): void {
    this.#warn('PGHERD_SESSION_STATE', stateText(what))
  }

  #warn(code: string, text: string): void {
    if (this.#told.has(code)) return
    this.#told.add(code)
    process.emitWarning(text, { type: 'PgherdWarning', code })
  }
}
