// Prepared statements and the connections that other users share: a name that the connection knows for another text is not used.

import type { Client } from 'pg'
import { withOwn } from './submittable.js'

interface Internals {
  /** The text of each statement that the server has taken under a name, and of each that was sent and is not answered yet. */
  readonly connection?: {
    readonly parsedStatements?: Readonly<Record<string, string>>
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
