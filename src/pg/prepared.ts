// Prepared statements and the connections that other users share: a name that the connection knows for another text is not used.

import type { Client } from 'pg'
import { withOwn } from './submittable.js'

interface Internals {
  /** The text of each statement that the server has taken under a name, and of each that was sent and is not answered yet. */
  readonly connection?: {
    parsedStatements?: Readonly<Record<string, string>>
    readonly submittedNamedStatements?: Readonly<Record<string, string>>
  }
}

/** The config, without its name where the connection knows another text by it: two callers may mean different statements. */
export function withFreeName(client: Client, config: unknown): unknown {
  const { name, text } = (config ?? {}) as { readonly name?: unknown; readonly text?: unknown }
  if (typeof name !== 'string' || name === '' || typeof config !== 'object') return config
  const { parsedStatements, submittedNamedStatements } = (client as unknown as Internals).connection ?? {}
  const known = parsedStatements?.[name] ?? submittedNamedStatements?.[name]
  return known === undefined || known === text ? config : withOwn(config, { name: undefined })
}

/**
 * The server has forgotten them by a DEALLOCATE or a DISCARD ALL (`tag`), and pg has not: it would name one that is not there (26000).
 * Each is prepared anew when it is used.
 */
export function forgetPrepared(client: Client, tag: string, text: string | null): void {
  const { connection } = client as unknown as Internals
  const known = connection?.parsedStatements
  if (connection === undefined || known === undefined) return
  if (tag !== 'DEALLOCATE') {
    connection.parsedStatements = {}
    return
  }
  const [, quoted, plain] = /\bdeallocate\s+(?:prepare\s+)?(?:"([^"]+)"|([\w$]+))/i.exec(text ?? '') ?? []
  const name = quoted ?? plain?.toLowerCase()
  connection.parsedStatements = Object.fromEntries(Object.entries(known).filter(([each]) => each !== name))
}
