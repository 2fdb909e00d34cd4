// The words of SQL that routing turns on: what a statement is by its first word, and which keywords cannot be the name
// of a function. Tables only; classify.ts reads them.

import type { Undone } from '../undone.js'

/** What a statement is by its first word. `copy` is a read only when it ends in TO STDOUT. */
export interface Head {
  readonly kind: 'read' | 'copy' | 'write' | 'session'
  /** Its other words, and the functions that it calls, may make it less. */
  readonly undone: Undone
  readonly reason: string
}

const head = (kind: Head['kind'], undone: Undone, reason: string): Head => ({ kind, undone, reason })
const READ = head('read', 'whole', 'only reads')
const ROWS = head('write', 'whole', 'changes rows')
const SCHEMA = head('write', 'whole', 'changes the schema, roles or configuration')
// Outside of a block VACUUM, and of several tables ANALYZE, CLUSTER and REINDEX, take a transaction for each.
const UPKEEP = head('write', 'repeatable', 'maintenance, which a standby refuses or runs on its own files')
const OPAQUE = head('write', 'parts', 'runs a body that is not read here and may commit part of it')
const STATE = head('session', 'session', 'changes the state of the session')
const TRANSACTION = head('session', 'session', 'begins, ends or marks a transaction')
const PREPARED = head('session', 'session', 'uses a prepared statement of this connection')
const HIDDEN = head('session', 'hidden', 'uses a prepared statement of this connection')
const CURSOR = head('session', 'session', 'uses a cursor of this connection')
// It runs the query of the cursor, which is not in its text.
const FETCHING = head('session', 'hidden', 'uses a cursor of this connection')
const LISTENING = head('session', 'session', 'changes which notifications this connection receives')

export const HEADS: ReadonlyMap<string, Head> = new Map([
  ['select', READ],
  ['with', READ],
  ['values', READ],
  ['table', READ],
  ['copy', head('copy', 'whole', 'moves data in, or to a file or program of the server')],
  ['insert', ROWS],
  ['update', ROWS],
  ['delete', ROWS],
  ['merge', ROWS],
  ['truncate', ROWS],
  ['create', SCHEMA],
  ['alter', SCHEMA],
  ['drop', SCHEMA],
  ['comment', SCHEMA],
  ['grant', SCHEMA],
  ['revoke', SCHEMA],
  ['security', SCHEMA],
  ['reassign', SCHEMA],
  ['import', SCHEMA],
  ['refresh', SCHEMA],
  ['analyze', UPKEEP],
  ['analyse', UPKEEP],
  ['vacuum', UPKEEP],
  ['reindex', UPKEEP],
  ['cluster', UPKEEP],
  ['checkpoint', UPKEEP],
  ['repack', UPKEEP], // PostgreSQL 19
  ['notify', head('write', 'whole', 'sends a notification, which a standby refuses (25006)')],
  ['do', OPAQUE],
  ['call', OPAQUE],
  // With ANALYZE it runs the statement. Without, it shows the wrong server's cache and settings.
  ['explain', head('write', 'whole', 'is about the server that runs it')],
  ['show', head('write', 'whole', 'is about the session and server that run it')],
  ['set', STATE],
  ['reset', STATE],
  ['discard', STATE],
  ['load', STATE],
  ['begin', TRANSACTION],
  ['start', TRANSACTION],
  ['commit', TRANSACTION],
  ['end', TRANSACTION],
  ['rollback', TRANSACTION],
  ['abort', TRANSACTION],
  ['savepoint', TRANSACTION],
  ['release', TRANSACTION],
  ['lock', head('session', 'session', 'locks a table until the transaction ends')],
  ['prepare', PREPARED], // PREPARE TRANSACTION too
  ['execute', HIDDEN],
  ['deallocate', PREPARED],
  ['declare', CURSOR],
  ['fetch', FETCHING],
  ['move', FETCHING],
  ['close', CURSOR],
  ['listen', LISTENING],
  ['unlisten', LISTENING],
])

/** Every other first word. */
export const OTHER: Head = { kind: 'write', undone: 'hidden', reason: 'not a statement known to only read' }

/** Of several statements in one text these end the transaction that the others share. */
export const CONTROL: ReadonlySet<string> = new Set(['begin', 'start', 'commit', 'end', 'rollback', 'abort', 'prepare'])

export const LOCKS: ReadonlyMap<string, string> = new Map([
  ['update', 'FOR UPDATE'],
  ['share', 'FOR SHARE'],
  ['no', 'FOR NO KEY UPDATE'],
  ['key', 'FOR KEY SHARE'],
])

/** What may follow a closing parenthesis in the list of WITH, other than the statement itself. */
export const WITH_GOES_ON: ReadonlySet<string> = new Set(['as', 'search', 'cycle'])

/**
 * What CREATE and ALTER may name without changing where any statement may run. A plain CREATE TABLE is such a thing too; an
 * ALTER TABLE is not: it can make a table unlogged, or give it policies.
 */
export const PLAIN_OBJECTS: ReadonlySet<string> = new Set(
  `index unique materialized database tablespace role user group system statistics trigger constraint event publication
  subscription collation conversion text`.split(/\s+/)
)

/** What a keyword means to the classifier; bits, since one word can mean several things. */
export const Role = {
  reserved: 1, // cannot name a column, table or function unless quoted or after a dot
  syntax: 2, // before a parenthesis it is no call, or one of PostgreSQL's own that is spelled as syntax
  clause: 4, // the list behind WITH, FROM or GROUP BY is over
  change: 8, // begins a statement that changes rows
  by: 16,
  into: 32,
  from: 64,
  copyTarget: 512,
  temporary: 128,
  body: 256, // matters within CREATE … BEGIN ATOMIC
  beforeTable: 1024, // behind it stands a table, if a name does
} as const

// pg_get_keywords() of PostgreSQL 15.18 and 18.4: catcode R.
const RESERVED = `all analyse analyze and any array as asc asymmetric both case cast check collate column constraint
  create current_catalog current_date current_role current_time current_timestamp current_user default deferrable desc
  distinct do else end except false fetch for foreign from grant group having in initially intersect into lateral
  leading limit localtime localtimestamp not null offset on only or order placing primary references returning select
  session_user some symmetric system_user table then to trailing true union unique user using variadic when where
  window with`

// catcode C: these may name a column, but not a function or type of the user's. On servers that do not have one of them
// yet (json_value before 17) a function of that name could exist. No such function that writes to a table has been seen.
const SYNTAX = `between bigint bit boolean char character coalesce dec decimal exists extract float greatest grouping
  inout int integer interval json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar
  json_serialize json_table json_value least merge_action national nchar none normalize nullif numeric out overlay
  position precision real row setof smallint substring time timestamp treat trim values varchar xmlattributes xmlconcat
  xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable`

const MEANING: readonly (readonly [words: string, role: number])[] = [
  [RESERVED, Role.reserved | Role.syntax],
  [SYNTAX, Role.syntax],
  ['like ilike', Role.syntax], // catcode T: may name a function, which for LIKE is a built-in without effects
  ['select table where group order limit offset fetch for union intersect except having window', Role.clause],
  ['insert update delete merge', Role.change],
  ['by', Role.by],
  ['into', Role.into],
  ['from join only table copy binary', Role.beforeTable],
  ['from', Role.from],
  ['stdout', Role.copyTarget],
  ['temp temporary local global', Role.temporary],
  ['atomic case end', Role.body],
]

/** Word to the sum of its roles; a word that is not here has none. */
export const ROLES: ReadonlyMap<string, number> = (() => {
  const roles = new Map<string, number>()
  for (const [words, role] of MEANING) {
    for (const word of words.split(/\s+/)) roles.set(word, (roles.get(word) ?? 0) | role)
  }
  return roles
})()

/** Words behind which an expression stands though they are not reserved, so perhaps a function that is named join. */
export const BEFORE_EXPRESSION: ReadonlySet<string> = new Set(['escape', 'zone', 'by'])

/**
 * Words that may name a function, but not behind these others. Behind an operand no call can begin at all, which
 * takes care of OVER, FILTER, COLUMNS, REPEATABLE and of an alias with its columns.
 */
export const NO_CALL_AFTER: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['by', new Set(['order', 'group', 'partition'])],
  ['sets', new Set(['grouping'])],
  ['zone', new Set(['time'])], // AT TIME ZONE (…)
  ['first', new Set(['fetch'])],
  ['next', new Set(['fetch'])],
  ['second', new Set(['to', 'interval'])], // interval day to second(3)
  ['varying', new Set(['character', 'char', 'nchar', 'bit'])],
  ['join', new Set(['left', 'right', 'full', 'inner', 'outer', 'cross', 'natural', 'true'])],
])

/** Behind these unquoted words stands a name that is being given or a type, never a call. */
export const NAMING: ReadonlySet<string> = new Set(['as', 'with', 'recursive', 'tablesample', 'ordinality'])
