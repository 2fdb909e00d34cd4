// What a database defines beyond what PostgreSQL ships: rows of its catalogues -> which functions, tables and views may be
// read on a replica. Views and row-level-security policies are read by the same lexer as statements. A view that reaches something
// that needs the primary needs it too: this is repeated to a fixed point. Asks no server: herd/catalogue.ts does.

import { inspect, type Verdict } from './classify.js'
import { Kind, Lexer } from './lexer.js'
import { type Acting, isShipped, kept, type NamePolicy } from './names.js'
import type { Objection } from './objections.js'
import { undoneByCall } from './undoing.js'

/** What is said of one name; a name has one row per kind at most, whatever number of schemas or overloads it has. */
export interface DefinitionRow {
  /**
   * function: none of that name is VOLATILE. volatile: at least one is. contrib: the VOLATILE ones come with an extension of
   * PostgreSQL's own. field: a VOLATILE one may stand behind a dot. operator, type: made by a VOLATILE function.
   * view, policy, domain: `text` is its query or condition. acting: a function that acts outside of its transaction, or may
   * do so unseen, as `text` says; changing: a table whose triggers, rules, checks or defaults do; touching: a type whose casts or
   * checks do.
   */
  readonly kind:
    | 'function'
    | 'volatile'
    | 'contrib'
    | 'field'
    | 'unlogged'
    | 'foreign'
    | 'sequence'
    | 'view'
    | 'policy'
    | 'operator'
    | 'type'
    | 'domain'
    | 'acting'
    | 'changing'
    | 'touching'
  readonly name: string
  readonly text: string | null
}

/** What the catalogue says, before the options and the refusals of replicas are applied. */
export interface Definitions {
  readonly functions: ReadonlyMap<string, 'harmless' | Objection>
  readonly relations: ReadonlyMap<string, Objection>
  readonly fields: ReadonlyMap<string, Objection>
  readonly types: ReadonlyMap<string, Objection>
  readonly operators: ReadonlySet<string>
  /** Domains with a CHECK. */
  readonly domains: ReadonlyMap<string, readonly Text[]>
  /** Views, and tables with policies: what they reach is not in the text of a statement. Null: it is not known. */
  readonly opaque: ReadonlyMap<string, readonly Text[]> | null
  readonly unknown: Objection
  readonly acting: Acting
}

const write = (reason: string): Objection => ({ intent: 'write', reason })

const VOLATILE = write('is declared VOLATILE: if it only reads, declare it STABLE or list it in replicaSafeFunctions')
const RELATIONS = {
  unlogged: write('is unlogged, or has a part that is: a standby cannot read it (0A000)'),
  foreign: write('is a foreign table, or has a part that is: a replica does not stop what is done where it leads'),
  sequence: write('is a sequence: that of a replica may be ahead of the one on the primary'),
} as const
const VOLATILE_CAST = write('is a type that a VOLATILE function makes values of')
const REACHING = {
  view: 'is a view that reaches',
  policy: 'has a row-level-security policy that reaches',
  domain: 'is a domain whose CHECK reaches',
} as const
const ABSENT = write('is no function of PostgreSQL, and was not in the catalogue when that was read last')

/** Before the catalogue has been read. */
export const UNREAD: Definitions = {
  functions: new Map(),
  relations: new Map(),
  fields: new Map(),
  types: new Map(),
  operators: new Set(),
  domains: new Map(),
  opaque: null,
  unknown: write('is no function of PostgreSQL, and the catalogue has not been read yet'),
  acting: { functions: new Map(), relations: new Map(), complete: false },
}

/** The catalogue cannot be read, and why. */
export function unreadable(message: string): Definitions {
  return { ...UNREAD, unknown: write(`is no function of PostgreSQL, and the catalogue cannot be read: ${message}`) }
}

/** While the catalogue may be outdated, it makes no name harmless. No read leaves the primary then anyway. */
export function doubted(definitions: Definitions): Definitions {
  const known = [...definitions.functions].filter(([, standing]) => standing !== 'harmless')
  const unknown = write('is no function of PostgreSQL, and definitions have changed since the catalogue was read')
  const acting = { ...definitions.acting, complete: false }
  return { ...definitions, functions: new Map(known), opaque: definitions.opaque && new Map(), unknown, acting }
}

/** Rows of the catalogue -> what its names mean. */
export function define(rows: readonly DefinitionRow[]): Definitions {
  const functions = new Map<string, 'harmless' | Objection>()
  const relations = new Map<string, Objection>()
  const fields = new Map<string, Objection>()
  const types = new Map<string, Objection>()
  const operators = new Set<string>()
  const domains = new Map<string, Text[]>()
  const opaque = new Map<string, Text[]>()
  const acts = new Map<string, 'hidden' | 'outside'>()
  const changing = new Map<string, Touch>()
  for (const { kind, name, text } of rows) {
    if (kind === 'function') functions.set(name, 'harmless')
    else if (kind === 'volatile') functions.set(name, VOLATILE)
    else if (kind === 'contrib') functions.set(name, isShipped(name, '') ? 'harmless' : VOLATILE)
    else if (kind === 'field') fields.set(name, VOLATILE)
    else if (kind === 'operator') operators.add(name)
    else if (kind === 'type') types.set(name, VOLATILE_CAST)
    else if (kind === 'domain') add(domains, name, textOf(kind, name, text))
    else if (kind === 'view' || kind === 'policy') add(opaque, name, textOf(kind, name, text))
    else if (kind === 'acting') acts.set(name, actsAs(text))
    else if (kind === 'changing' || kind === 'touching') {
      if (!changing.get(name)?.reading) changing.set(name, { undone: actsAs(text), reading: kind === 'touching' })
    } else relations.set(name, RELATIONS[kind])
    // A foreign server commits first: that stays when this server fails (postgres_fdw: pre-commit).
    if (kind === 'foreign' && !changing.has(name)) changing.set(name, { undone: 'hidden', reading: false })
  }
  reach(opaque, acts, changing)
  const acting = { functions: acts, relations: changing, complete: true }
  return { functions, relations, fields, types, operators, domains, opaque, unknown: ABSENT, acting }
}

/** How a table or view acts outside of a transaction that names it. */
type Touch = { readonly undone: 'hidden' | 'outside'; readonly reading: boolean }

function actsAs(text: string | null): 'hidden' | 'outside' {
  return text === 'outside' ? 'outside' : 'hidden'
}

/** Views and policies that call what acts outside, and what reads those, to a fixed point. */
function reach(
  opaque: ReadonlyMap<string, readonly Text[]>,
  acts: ReadonlyMap<string, 'hidden' | 'outside'>,
  relations: Map<string, Touch>
): void {
  const acting = (word: string) => {
    const shipped = undoneByCall(word)
    if (shipped !== 'whole') return shipped
    return acts.get(word) ?? (relations.get(word)?.reading ? relations.get(word)?.undone : undefined)
  }
  for (let grown = true; grown; ) {
    grown = false
    for (const { name, words } of [...opaque.values()].flat()) {
      if (relations.get(name)?.reading) continue
      const found = [...words].map(acting).filter((each) => each !== undefined)
      if (found.length === 0) continue
      relations.set(name, { undone: found.includes('outside') ? 'outside' : 'hidden', reading: true })
      grown = true
    }
  }
}

function add<T>(map: Map<string, T[]>, name: string, item: T): void {
  const items = map.get(name)
  if (items === undefined) map.set(name, [item])
  else items.push(item)
}

/** The query of a view or the condition of a policy, and the names that it may reach. */
interface Text {
  readonly kind: keyof typeof REACHING
  readonly name: string
  readonly sql: string
  readonly words: ReadonlySet<string>
}

function textOf(kind: Text['kind'], name: string, text: string | null): Text {
  const sql = kind === 'view' ? (text ?? '') : `select (${text ?? ''})`
  return { kind, name, sql, words: wordsOf(sql) }
}

function wordsOf(sql: string): ReadonlySet<string> {
  const words = new Set<string>()
  const lexer = new Lexer(sql)
  for (let kind = lexer.next(); kind !== Kind.end && kind !== Kind.bad; kind = lexer.next()) {
    if (kind === Kind.word || kind === Kind.name) words.add(lexer.value)
  }
  return words
}

/** Each text is read once, and again only when a name in it turned out to need the primary. */
function spread(
  opaque: ReadonlyMap<string, readonly Text[]>,
  policy: NamePolicy,
  relations: Map<string, Objection>
): void {
  const texts = [...opaque.values()].flat()
  const users = new Map<string, Text[]>()
  for (const text of texts) {
    for (const word of text.words) if (opaque.has(word)) add(users, word, text)
  }
  const waiting = [...texts]
  for (let text = waiting.pop(); text !== undefined; text = waiting.pop()) {
    if (relations.has(text.name)) continue
    const verdict = inspect(text.sql, policy)
    if (verdict.intent === 'read') continue
    relations.set(text.name, reaching(text.kind, verdict))
    waiting.push(...(users.get(text.name) ?? []))
  }
}

function reaching(kind: Text['kind'], { intent, word, reason }: Verdict): Objection {
  return { intent: intent === 'session' ? 'session' : 'write', reason: `${REACHING[kind]} ${word}, which ${reason}` }
}

/** What the user says of names in the options. */
export interface NameOptions {
  readonly primaryFunctions: readonly string[]
  readonly replicaSafeFunctions: readonly string[]
  readonly primaryRelations: readonly string[]
}

const LISTED = {
  function: write('is listed in primaryFunctions'),
  relation: write('is listed in primaryRelations'),
} as const
const LEARNED = write('was refused by a replica, and ran on the primary')

/**
 * Combines the options, the refusals of replicas and the catalogue, in this order of precedence, for what a statement names and
 * for what views and policies reach. `learned`: names that replicas refused.
 */
export function policyOf(options: NameOptions, definitions: Definitions, learned: ReadonlySet<string>): NamePolicy {
  const functions = new Map<string, 'vouched' | 'harmless' | Objection>(definitions.functions)
  const relations = new Map(definitions.relations)
  for (const name of learned) {
    functions.set(name, LEARNED)
    relations.set(name, LEARNED)
  }
  for (const name of options.replicaSafeFunctions) functions.set(kept(name), 'vouched')
  for (const name of options.primaryFunctions) functions.set(kept(name), LISTED.function)
  for (const name of options.primaryRelations) relations.set(kept(name), LISTED.relation)
  const fields = new Map(definitions.fields)
  const types = new Map(definitions.types)
  for (const [name, standing] of functions)
    if (typeof standing === 'object' && standing !== VOLATILE) fields.set(name, standing)
  const { operators, domains, opaque, unknown } = definitions
  const { acting } = definitions
  const policy = { functions, relations, fields, types, operators, sequences: opaque !== null, unknown, acting }
  // A domain may stand in a view, and hardly a view in a domain.
  spread(domains, policy, types)
  if (opaque !== null) spread(opaque, policy, relations)
  return policy
}

/**
 * Returns the one name because of which a replica can have refused a read, or null. It can be a function that the catalogue
 * calls harmless, a view, or a table with policies. Without a catalogue it can be any table.
 */
export function culprit(sql: string, { functions, opaque }: Definitions): string | null {
  const named =
    opaque === null
      ? tablesOf(sql)
      : [...wordsOf(sql)].filter((word) => functions.get(word) === 'harmless' || opaque.has(word))
  return named.length === 1 ? (named[0] ?? null) : null
}

/**
 * The text names a function of the database's own, or a view or a table with policies that does, which `vouched` does not name. True also
 * where the catalogue does not tell. A name counts wherever it stands: a column that is called like a function counts, too.
 */
export function callsOwn(
  sql: string,
  { functions, opaque, acting }: Definitions,
  vouched: ReadonlySet<string>
): boolean {
  if (opaque === null || !acting.complete) return true
  const seen = new Set<string>()
  const waiting: Iterable<string>[] = [wordsOf(sql)]
  for (let words = waiting.pop(); words !== undefined; words = waiting.pop()) {
    for (const word of words) {
      const name = kept(word)
      if (seen.has(name)) continue
      seen.add(name)
      if (functions.has(name) && !vouched.has(name)) return true
      for (const text of opaque.get(name) ?? []) waiting.push(text.words)
    }
  }
  return false
}

/** The names behind FROM and JOIN, without their schemas. */
function tablesOf(sql: string): readonly string[] {
  const tables = new Set<string>()
  const lexer = new Lexer(sql)
  let found: string | null = null // of a name that may go on behind a dot
  let expected = false
  for (let kind = lexer.next(); kind !== Kind.end && kind !== Kind.bad; kind = lexer.next()) {
    const name: string | null = kind === Kind.word || kind === Kind.name ? lexer.value : null
    if (kind === Kind.dot && found !== null) {
      expected = true
      continue
    }
    if (name !== null && expected) found = name
    else if (found !== null) {
      tables.add(found)
      found = null
    }
    expected = kind === Kind.word && (name === 'from' || name === 'join')
  }
  if (found !== null) tables.add(found)
  return [...tables]
}
