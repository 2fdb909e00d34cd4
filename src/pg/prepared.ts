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

/** The connection knows another text by this name, or is about to. */
export function isNameTaken(client: Client, name: string, text: unknown): boolean {
  const { parsedStatements, submittedNamedStatements } = (client as unknown as Internals).connection ?? {}
  const known = parsedStatements?.[name] ?? submittedNamedStatements?.[name]
  return known !== undefined && known !== text
}

/** The config, without its name where the connection knows another text by it: two callers may mean different statements. */
export function withFreeName(client: Client, config: unknown): unknown {
  const { name, text } = (config ?? {}) as { readonly name?: unknown; readonly text?: unknown }
  if (typeof name !== 'string' || name === '' || typeof config !== 'object') return config
  return isNameTaken(client, name, text) ? withOwn(config, { name: undefined }) : config
}

/** The server has closed the statement of this name, or never had one, whatever pg takes it for. */
export function forgetName(client: Client, name: string): void {
  const { parsedStatements } = (client as unknown as Internals).connection ?? {}
  if (parsedStatements !== undefined) delete (parsedStatements as Record<string, string>)[name]
}

/** Names that a server has forgotten, and pg has not; null: all. */
const forgotten = new WeakMap<Client, Set<string> | null>()

/** DEALLOCATE or DISCARD ALL (`tag`). For its holder that is as with pg, which goes on naming what is not there (26000). */
export function noteForgotten(client: Client, tag: string, text: string | null): void {
  const known = forgotten.get(client)
  if (known === null) return
  const [, quoted, plain] = /\bdeallocate\s+(?:prepare\s+)?(?:"([^"]+)"|([\w$]+))/i.exec(text ?? '') ?? []
  const name = quoted ?? plain?.toLowerCase()
  forgotten.set(client, tag !== 'DEALLOCATE' || name === undefined ? null : (known ?? new Set()).add(name))
}

/** The client has been given back: its next holder's statements are prepared anew. */
export function forgetPrepared(client: Client): void {
  const names = forgotten.get(client)
  const { connection } = client as unknown as Internals
  if (names === undefined || connection?.parsedStatements === undefined) return
  forgotten.delete(client)
  const kept = Object.entries(connection.parsedStatements).filter(([name]) => names !== null && !names.has(name))
  connection.parsedStatements = Object.fromEntries(kept)
}
