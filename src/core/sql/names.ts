// What a name in a statement says about where the statement may run: functions by their last name part, relations,
// and the columns of a sequence. Names that PostgreSQL ships are judged here; what else is known of names comes as a
// NamePolicy. It never reads SQL (classify.ts does) and never calls a name harmless because it does not know it.

import type { Undone } from '../undone.js'
import { HARMLESS_BUILTINS, HARMLESS_CONTRIB, HARMLESS_PG_FUNCTIONS, HARMLESS_PG_RELATIONS } from './builtins.js'
import {
  FAMILIES,
  FAMILY,
  FUNCTIONS,
  LARGE_OBJECT_FIELDS,
  type Objection,
  QUERY_TEXT,
  RELATIONS,
  REMOTE,
  SEQUENCE,
  SEQUENCE_COLUMNS,
  UNKNOWN_PG,
  write,
} from './objections.js'
import { undoneByCall } from './undoing.js'

/** What the user, a catalogue or experience say of names, by their last part, folded, and cut as the server cuts them. */
export interface NamePolicy {
  /**
   * `vouched`: the user's word, above every list. `harmless`: a catalogue's, which excuses no name of PostgreSQL's own. An
   * objection holds against a built-in of that name too, since overloads look alike. Absent: not known, so not harmless.
   */
  readonly functions: ReadonlyMap<string, 'vouched' | 'harmless' | Objection>
  /** Tables and views that need the primary. */
  readonly relations: ReadonlyMap<string, Objection>
  /** Functions that may stand as fields behind a dot: `row.f` calls f(row). */
  readonly fields: ReadonlyMap<string, Objection>
  /** Types whose values are made by a writer, or by what may be one: a cast, the CHECK of a domain. */
  readonly types: ReadonlyMap<string, Objection>
  /** Signs of operators that call a writer, or may do so. */
  readonly operators: ReadonlySet<string>
  /** All sequences are among the relations, so their columns need no guessing. */
  readonly sequences: boolean
  /** What is said of a function that nothing is known of. */
  readonly unknown: Objection
  /** What acts outside of its transaction; absent: nothing is known of the user's functions. */
  readonly acting?: Acting
}

/** What of the database's own acts outside of its transaction, or may do so unseen. */
export interface Acting {
  readonly functions: ReadonlyMap<string, 'hidden' | 'outside'>
  /** `reading`: also where it is only read. */
  readonly relations: ReadonlyMap<string, { readonly undone: 'hidden' | 'outside'; readonly reading: boolean }>
  /** Functions that are not here are undone with their statement. False: the catalogue is not read, or outdated. */
  readonly complete: boolean
}

/** Nothing is known but what PostgreSQL ships. */
export const SHIPPED_ONLY: NamePolicy = {
  functions: new Map(),
  relations: new Map(),
  fields: new Map(),
  types: new Map(),
  operators: new Set(),
  sequences: false,
  unknown: write('is no function of PostgreSQL that is known to be harmless on a replica'),
}

/** PostgreSQL keeps 63 bytes of a name; a longer one means the same as its beginning. */
export function kept(name: string): string {
  if (name.length <= 21) return name
  let bytes = 0
  let end = 0
  for (const character of name) {
    const code = character.codePointAt(0) ?? 0
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
    if (bytes > 63) return name.slice(0, end)
    end += character.length
  }
  return name
}

/** builtinObjection(), for a field. */
function fieldObjection(name: string): Objection | null {
  if (name.startsWith('lo_') && !LARGE_OBJECT_FIELDS.has(name)) return null
  return builtinObjection(name)
}

/** What is known against a name of PostgreSQL's own, wherever and however it is spelled. */
function builtinObjection(name: string): Objection | null {
  const exact = FUNCTIONS.get(name)
  if (exact !== undefined) return exact
  if (!FAMILY.test(name)) return null
  for (const [prefix, objection] of FAMILIES) if (name.startsWith(prefix)) return objection
  return null
}

/** `qualifier`: the schema as written, '' without one. Null: harmless on a replica. */
export function objectionToCall(name: string, qualifier: string, policy: NamePolicy): Objection | null {
  const learned = policy.functions.get(kept(name))
  if (learned === 'vouched') return null
  if (learned !== undefined && learned !== 'harmless') return learned
  if (isShipped(name, qualifier)) return null
  const objection = builtinObjection(name)
  if (objection !== null) return objection
  if (learned === 'harmless') return null
  return name.startsWith('pg_') ? UNKNOWN_PG : policy.unknown
}

/** On the lists of what ships with PostgreSQL and does no harm. */
export function isShipped(name: string, qualifier: string): boolean {
  if (HARMLESS_CONTRIB.has(name)) return true
  if (qualifier !== '' && qualifier !== 'pg_catalog') return false
  return HARMLESS_BUILTINS.has(name) || HARMLESS_PG_FUNCTIONS.has(name)
}

/** Functions whose call changes the session are looked for in statements of every kind. */
export function sessionCall(name: string): Objection | null {
  const objection = FUNCTIONS.get(name) ?? (name.startsWith('pg_') ? builtinObjection(name) : null)
  return objection?.intent === 'session' ? objection : null
}

/**
 * What a server takes back of this call. In a statement that changes rows a name before a parenthesis is a table's as often as
 * a function's: `only-known` there.
 */
export function undoneOfCall(name: string, policy: NamePolicy, what: 'only-known' | 'unknown-too'): Undone {
  const cut = kept(name)
  const standing = policy.functions.get(cut)
  if (standing === 'vouched') return 'whole'
  const shipped = undoneByCall(name)
  if (shipped !== 'whole') return shipped
  const found = policy.acting?.functions.get(cut)
  if (found !== undefined) return found
  const known = policy.acting?.complete === true && standing !== undefined
  return what === 'only-known' || known || !isOpaqueCall(name) ? 'whole' : 'hidden'
}

/** A call that does not show what it does: it may as well change the session. */
export function isOpaqueCall(name: string): boolean {
  const objection = builtinObjection(name)
  return objection === null ? !isShipped(name, '') : objection === QUERY_TEXT || objection === REMOTE
}

/**
 * A name that is not called: a relation, schema or column, or after a dot perhaps a function all the same. `table`: it stands
 * where a table does; elsewhere a name that a table has too is a column's or an alias.
 */
export function objectionToMention(
  name: string,
  afterDot: boolean,
  table: boolean,
  policy: NamePolicy
): Objection | null {
  const known = table ? policy.relations.get(kept(name)) : undefined
  if (known !== undefined) return known
  if (name.startsWith('pg_')) {
    if (HARMLESS_PG_RELATIONS.has(name) || HARMLESS_PG_FUNCTIONS.has(name)) return null
    return RELATIONS.get(name) ?? builtinObjection(name) ?? UNKNOWN_PG
  }
  if (!policy.sequences && SEQUENCE_COLUMNS.has(name)) return SEQUENCE
  // ('s'::regclass).nextval calls nextval: any function of one argument can be written as a field.
  if (!afterDot || name === 'lo_get' || policy.functions.get(name) === 'vouched') return null
  return fieldObjection(name) ?? policy.fields.get(kept(name)) ?? null
}
