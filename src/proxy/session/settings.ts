// Settings of a client's session that are followed instead of pinning the client to a connection: which there are, what a text sets,
// and what must be sent to make one session's settings those of another. Values only.

import { Kind, Lexer } from '../../core/sql/lexer.js'
import { settingsIn } from '../wire/startup.js'

/**
 * Names that are followed: what servers report (GUC_REPORT), and what means the same on every connection. Not listed: what changes the
 * role, what loads code, what acts once. A name with a dot is an extension's or the application's own, and pins, but for `pgherd.`.
 */
export const FOLLOWED: ReadonlySet<string> = new Set([
  // Reported by servers.
  ...[
    'application_name',
    'client_encoding',
    'datestyle',
    'intervalstyle',
    'search_path',
    'standard_conforming_strings',
  ],
  ...['timezone', 'default_transaction_read_only', 'scram_iterations'],
  // Limits of the session.
  ...[
    'statement_timeout',
    'lock_timeout',
    'idle_in_transaction_session_timeout',
    'idle_session_timeout',
    'transaction_timeout',
  ],
  ...['deadlock_timeout', 'temp_file_limit'],
  // How values are written and read.
  ...[
    'bytea_output',
    'extra_float_digits',
    'lc_messages',
    'lc_monetary',
    'lc_numeric',
    'lc_time',
    'xmlbinary',
    'xmloption',
  ],
  ...['array_nulls', 'backslash_quote', 'escape_string_warning', 'quote_all_identifiers', 'transform_null_equals'],
  ...['timezone_abbreviations', 'default_text_search_config', 'gin_fuzzy_search_limit', 'password_encryption'],
  // What is told.
  ...[
    'client_min_messages',
    'log_statement',
    'log_min_duration_statement',
    'log_min_messages',
    'log_min_error_statement',
  ],
  ...['track_activities', 'track_counts', 'track_functions', 'track_io_timing'],
  // Transactions and constraints.
  ...[
    'default_transaction_isolation',
    'default_transaction_deferrable',
    'synchronous_commit',
    'commit_delay',
    'commit_siblings',
  ],
  ...['check_function_bodies', 'default_tablespace', 'default_table_access_method', 'temp_tablespaces', 'row_security'],
  ...['default_toast_compression', 'lo_compat_privileges', 'createrole_self_grant'],
  // The planner.
  ...['work_mem', 'maintenance_work_mem', 'hash_mem_multiplier', 'logical_decoding_work_mem', 'effective_cache_size'],
  ...['effective_io_concurrency', 'maintenance_io_concurrency', 'random_page_cost', 'seq_page_cost', 'cpu_tuple_cost'],
  ...['cpu_index_tuple_cost', 'cpu_operator_cost', 'cursor_tuple_fraction', 'constraint_exclusion', 'plan_cache_mode'],
  ...['default_statistics_target', 'from_collapse_limit', 'join_collapse_limit', 'force_parallel_mode'],
  ...['parallel_leader_participation', 'parallel_setup_cost', 'parallel_tuple_cost', 'max_parallel_workers'],
  ...['max_parallel_workers_per_gather', 'max_parallel_maintenance_workers', 'min_parallel_table_scan_size'],
  ...['min_parallel_index_scan_size', 'jit', 'jit_above_cost', 'jit_inline_above_cost', 'jit_optimize_above_cost'],
  ...[
    'geqo',
    'geqo_effort',
    'geqo_generations',
    'geqo_pool_size',
    'geqo_seed',
    'geqo_selection_bias',
    'geqo_threshold',
  ],
  ...['recursive_worktable_factor', 'vacuum_cost_delay', 'vacuum_cost_limit', 'wal_compression', 'wal_skip_threshold'],
])

export function isFollowed(name: string): boolean {
  return FOLLOWED.has(name) || name.startsWith('enable_') || name.startsWith('pgherd.')
}

/** Name -> the statement that sets it. Two sessions with equal settings may use the same connection as it is. */
export type Settings = ReadonlyMap<string, string>

export const NO_SETTINGS: Settings = new Map()

/** One setting that a text makes. `statement` null: back to what the session began with. `name` null: all of them. */
export interface Made {
  readonly name: string | null
  readonly statement: string | null
  /** The value, where it is one literal, number or word. */
  readonly value: string | null
}

/**
 * What a text of one statement sets for the whole session. Null: it sets nothing, or nothing that can be followed. SET LOCAL ends with
 * its transaction, so it is nothing.
 */
export function settingOf(sql: string): Made | null {
  const lexer = new Lexer(sql)
  const first = wordOf(lexer)
  if (first === 'reset') return resetOf(lexer)
  if (first === 'select') return configOf(sql, lexer)
  if (first !== 'set') return null
  let name = nameOf(lexer)
  if (name === 'local') return null
  if (name === 'session') name = nameOf(lexer)
  if (name === null) return null
  if (name === 'names') return valueIn(sql, lexer, 'client_encoding', lexer.next(), false)
  let kind = lexer.next()
  if (name === 'time' && kind === Kind.word && lexer.value === 'zone') {
    name = 'timezone'
    kind = lexer.next()
  } else {
    const isTo = kind === Kind.word && lexer.value === 'to'
    if (!isTo && !(kind === Kind.operator && sql[lexer.start] === '=')) {
      if (kind !== Kind.dot) return null
      const second = nameOf(lexer)
      if (second === null) return null
      name = `${name}.${second}`
      kind = lexer.next()
      if (!(kind === Kind.word && lexer.value === 'to') && !(kind === Kind.operator && sql[lexer.start] === '='))
        return null
    }
    kind = lexer.next()
  }
  return isFollowed(name) ? valueIn(sql, lexer, name, kind, true) : null
}

function wordOf(lexer: Lexer): string | null {
  let kind = lexer.next()
  while (kind === Kind.semicolon) kind = lexer.next()
  return kind === Kind.word ? lexer.value : null
}

function nameOf(lexer: Lexer): string | null {
  const kind = lexer.next()
  // Names of settings are folded, also in quotes.
  return kind === Kind.word || kind === Kind.name ? lexer.value.toLowerCase() : null
}

function endsHere(lexer: Lexer): boolean {
  let kind = lexer.next()
  while (kind === Kind.semicolon) kind = lexer.next()
  return kind === Kind.end
}

function resetOf(lexer: Lexer): Made | null {
  let name = nameOf(lexer)
  if (name === 'all') return endsHere(lexer) ? { name: null, statement: null, value: null } : null
  let kind = lexer.next()
  if (name === 'time' && kind === Kind.word && lexer.value === 'zone') {
    name = 'timezone'
    kind = lexer.next()
  } else if (kind === Kind.dot) {
    name = `${name}.${nameOf(lexer)}`
    kind = lexer.next()
  }
  while (kind === Kind.semicolon) kind = lexer.next()
  return name !== null && kind === Kind.end && isFollowed(name) ? { name, statement: null, value: null } : null
}

/** The value that begins with the present token: literals, words, numbers, signs and commas, up to the end. */
function valueIn(sql: string, lexer: Lexer, name: string, first: number, resets: boolean): Made | null {
  const from = lexer.start
  let kind = first
  let tokens = 0
  let single: string | null = null
  let to = from
  for (; kind !== Kind.end && kind !== Kind.semicolon; kind = lexer.next()) {
    const isValue = kind === Kind.text || kind === Kind.word || kind === Kind.name || kind === Kind.number
    const isSign = kind === Kind.operator && (sql[lexer.start] === '-' || sql[lexer.start] === '+')
    if (!isValue && !isSign && kind !== Kind.comma) return null
    tokens++
    if (tokens === 1) single = kind === Kind.text ? 'text' : lexer.value
    to = lexer.start
  }
  while (kind === Kind.semicolon) kind = lexer.next()
  if (kind !== Kind.end || tokens === 0) return null
  const text = sql.slice(from, endOfToken(sql, to)).trim()
  const isDefault = tokens === 1 && /^(?:default|local)$/i.test(text)
  if (isDefault) return resets ? { name, statement: null, value: null } : null
  const spelt = name === 'timezone' ? 'TimeZone' : name
  const value = unquoted(text) ?? (tokens === 1 && single !== 'text' ? text : null)
  return {
    name,
    statement: `SET ${quotedName(spelt)} TO ${text}`,
    value,
  }
}

function endOfToken(sql: string, start: number): number {
  const lexer = new Lexer(sql.slice(start))
  lexer.next()
  const next = lexer.next()
  return next === Kind.end ? endOfText(sql, start) : start + lexer.start
}

/** A comment may follow the last token. */
function endOfText(sql: string, start: number): number {
  const rest = sql.slice(start)
  const comment = /--|\/\*/.exec(rest.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"/g, (quoted) => ' '.repeat(quoted.length)))
  return comment === null ? sql.length : start + comment.index
}

function unquoted(text: string): string | null {
  return /^'(?:[^']|'')*'$/.test(text) ? text.slice(1, -1).replaceAll("''", "'") : null
}

function quotedName(name: string): string {
  return /^[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)?$/i.test(name)
    ? name
    : name
        .split('.')
        .map((part) => `"${part.replaceAll('"', '""')}"`)
        .join('.')
}

/** select set_config('name', 'value', false), with constants, and nothing else. */
const CONFIG =
  /^[\s;]*select\s+(?:pg_catalog\.)?set_config\s*\(\s*'([a-z_.A-Z]+)'\s*,\s*'((?:[^']|'')*)'\s*,\s*(?:false|'f(?:alse)?')\s*\)[\s;]*$/i

function configOf(sql: string, _: Lexer): Made | null {
  const [, given, quoted] = CONFIG.exec(sql) ?? []
  const name = given?.toLowerCase()
  if (name === undefined || quoted === undefined || !isFollowed(name)) return null
  const value = quoted.replaceAll("''", "'")
  return { name, statement: setting(name, value), value }
}

/** Lists of names: SET takes a literal for one name. */
const LISTS: ReadonlySet<string> = new Set([
  'search_path',
  'temp_tablespaces',
  'local_preload_libraries',
  'session_preload_libraries',
])

/** The statement that sets a value which came as a text. SET takes no snapshot, so BEGIN may follow it in a transaction. */
export function setting(name: string, value: string): string {
  if (!LISTS.has(name)) return `SET ${quotedName(name)} TO ${literal(value)}`
  return `SELECT pg_catalog.set_config(${literal(name)}, ${literal(value)}, false)`
}

/** Whatever standard_conforming_strings says. */
export function literal(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted
}

/** Settings after these were made, in order. `began`: those of the start of the session. The same object where nothing differs. */
export function withMade(settings: Settings, made: readonly Made[], began: Settings): Settings {
  let changed: Map<string, string> | null = null
  for (const { name, statement } of made) {
    if (name === null) {
      changed = new Map(began)
      continue
    }
    const now = statement ?? began.get(name)
    const before = (changed ?? settings).get(name)
    if (now === before) continue
    changed ??= new Map(settings)
    if (now === undefined) changed.delete(name)
    else changed.set(name, now)
  }
  return changed === null || isSame(changed, settings) ? settings : changed
}

export function isSame(a: Settings, b: Settings): boolean {
  if (a === b) return true
  if (a.size !== b.size) return false
  for (const [name, statement] of a) if (b.get(name) !== statement) return false
  return true
}

/** What makes a session that has `have` one that has `want`; null: nothing is needed. */
export function difference(have: Settings, want: Settings): string | null {
  if (have === want) return null
  const parts: string[] = []
  // What is set anew may depend on nothing else; what goes goes first.
  for (const name of have.keys()) if (!want.has(name)) parts.push(`RESET ${quotedName(name)}`)
  for (const [name, statement] of want) if (have.get(name) !== statement) parts.push(statement)
  return parts.length === 0 ? null : parts.join('; ')
}

/** What of the startup packet is no setting. */
const NO_SETTINGS_THERE: ReadonlySet<string> = new Set(['user', 'database', 'options', 'replication'])

/** The settings that a session begins with, by the startup packet: the options first, as with PostgreSQL. Null: `options` cannot be read. */
export function startupSettings(parameters: ReadonlyMap<string, string>): ReadonlyMap<string, string> | null {
  const given = settingsIn(parameters.get('options') ?? '')
  if (given === null) return null
  const values = new Map([...given].map(([name, value]) => [name.toLowerCase(), value] as const))
  for (const [name, value] of parameters) if (!NO_SETTINGS_THERE.has(name)) values.set(name.toLowerCase(), value)
  return values
}

/** The same, as statements. */
export function asSettings(values: ReadonlyMap<string, string>): Settings {
  if (values.size === 0) return NO_SETTINGS
  return new Map([...values].map(([name, value]) => [name, setting(name, value)]))
}
