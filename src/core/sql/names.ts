// What a name in a statement says about where the statement may run: functions by their last name part, relations,
// and the columns of a sequence. Names that PostgreSQL ships are judged here; what else is known of names comes as a
// NamePolicy. It never reads SQL (classify.ts does) and never calls a name harmless because it does not know it.

import type { Undone } from '../undone.js'
import { HARMLESS_BUILTINS, HARMLESS_CONTRIB, HARMLESS_PG_FUNCTIONS, HARMLESS_PG_RELATIONS } from './builtins.js'
import { undoneByCall } from './undoing.js'

/** Why a name keeps a statement from a replica. */
export interface Objection {
  readonly intent: 'write' | 'session'
  readonly reason: string
}

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

const write = (reason: string): Objection => ({ intent: 'write', reason })
const session = (reason: string): Objection => ({ intent: 'session', reason })

const ADVISORY = session('takes or gives back an advisory lock, which each server keeps for itself')
const SEQUENCE = write('advances or reads a sequence, or remembers its value in the session')
/** Shared, because ts_rewrite deserves it with two arguments only. */
export const QUERY_TEXT = write('runs SQL given as text, which is not read here')
const LOCAL = write('answers for the server it runs on')
const XID = write('asks for a transaction ID, which a standby cannot give (25006)')
const FILES = write('reads or writes files of the server it runs on')
const REMOTE = write('runs SQL on another server, which a replica does not stop')
const LARGE_OBJECT = write('changes large objects or keeps one open')
const OPERATES = write('operates the server it runs on: signals, configuration, statistics, recovery, slots')
const UPGRADE = write('is for pg_upgrade only')
const INDEX = write('changes an index')

// Functions that must not run on a replica though nothing in their name's prefix says so. Most of them succeed there.
const FUNCTIONS: ReadonlyMap<string, Objection> = new Map([
  ['set_config', session('changes a setting of the session')],
  ['setseed', session('seeds random() in the session')],
  ['nextval', SEQUENCE],
  ['setval', SEQUENCE],
  ['currval', SEQUENCE],
  ['lastval', SEQUENCE],
  ['query_to_xml', QUERY_TEXT],
  ['query_to_xmlschema', QUERY_TEXT],
  ['query_to_xml_and_xmlschema', QUERY_TEXT],
  ['cursor_to_xml', QUERY_TEXT],
  ['cursor_to_xmlschema', QUERY_TEXT],
  // These build their query from the name of a table or schema, which nobody has checked either.
  ['table_to_xml', QUERY_TEXT],
  ['table_to_xmlschema', QUERY_TEXT],
  ['table_to_xml_and_xmlschema', QUERY_TEXT],
  ['schema_to_xml', QUERY_TEXT],
  ['schema_to_xmlschema', QUERY_TEXT],
  ['schema_to_xml_and_xmlschema', QUERY_TEXT],
  ['database_to_xml', QUERY_TEXT],
  ['database_to_xmlschema', QUERY_TEXT],
  ['database_to_xml_and_xmlschema', QUERY_TEXT],
  ['ts_stat', QUERY_TEXT],
  ['ts_rewrite', QUERY_TEXT], // the form with two arguments; classify.ts counts them
  ['crosstab', QUERY_TEXT], // tablefunc, as the next two
  ['crosstabn', QUERY_TEXT],
  ['connectby', QUERY_TEXT],
  ['xpath_table', QUERY_TEXT], // xml2
  ['current_setting', LOCAL], // STABLE, yet transaction_read_only and in_hot_standby differ
  ['pg_is_in_recovery', LOCAL],
  ['pg_backend_pid', LOCAL],
  ['pg_blocking_pids', LOCAL],
  ['pg_safe_snapshot_blocking_pids', LOCAL],
  ['pg_isolation_test_session_is_blocked', LOCAL],
  ['pg_postmaster_start_time', LOCAL],
  ['pg_conf_load_time', LOCAL],
  ['pg_my_temp_schema', LOCAL],
  ['pg_is_other_temp_schema', LOCAL],
  ['pg_listening_channels', LOCAL],
  ['pg_notification_queue_usage', LOCAL],
  ['pg_current_logfile', LOCAL],
  ['pg_get_backend_memory_contexts', LOCAL],
  ['pg_get_shmem_allocations', LOCAL],
  ['pg_control_checkpoint', LOCAL],
  ['pg_control_recovery', LOCAL],
  ['pg_last_committed_xact', LOCAL],
  ['pg_xact_commit_timestamp', LOCAL],
  ['pg_xact_status', LOCAL], // the fate of a transaction that a replica may not have heard of
  ['pg_current_snapshot', LOCAL],
  ['pg_current_xact_id_if_assigned', LOCAL],
  ['pg_is_wal_replay_paused', LOCAL],
  ['pg_get_wal_replay_pause_state', LOCAL],
  ['pg_walfile_name', write('names a file of the timeline that the primary writes; refused during recovery (55000)')],
  [
    'pg_walfile_name_offset',
    write('names a file of the timeline that the primary writes; refused in recovery (55000)'),
  ],
  ['inet_server_addr', LOCAL],
  ['inet_server_port', LOCAL],
  ['inet_client_addr', LOCAL],
  ['inet_client_port', LOCAL],
  ['txid_current', XID], // STABLE, yet it assigns one
  ['txid_current_if_assigned', LOCAL],
  ['txid_current_snapshot', LOCAL],
  ['txid_status', LOCAL],
  ['pg_current_xact_id', XID],
  ['currtid2', LOCAL],
  ['loread', LARGE_OBJECT],
  ['lowrite', LARGE_OBJECT],
  ['brin_summarize_new_values', INDEX],
  ['brin_summarize_range', INDEX],
  ['brin_desummarize_range', INDEX],
  ['gin_clean_pending_list', INDEX],
])

// Families of names, tried in this order once a name is on no list: a server newer than the lists fails safe.
const FAMILIES: readonly (readonly [prefix: string, objection: Objection])[] = [
  ['pg_advisory_xact_', write('takes an advisory lock, which each server keeps for itself')],
  ['pg_try_advisory_xact_', write('takes an advisory lock, which each server keeps for itself')],
  ['pg_advisory_', ADVISORY],
  ['pg_try_advisory_', ADVISORY],
  ['pg_replication_origin_session_', session('attaches the session to a replication origin')],
  ['pg_temp', session('names the temporary schema of the session')],
  ['pg_stat', LOCAL],
  ['pg_show_', LOCAL],
  ['pg_get_replication_slots', LOCAL],
  ['pg_last_wal_', LOCAL],
  ['pg_last_xact_', LOCAL],
  ['pg_current_wal_', write('asks where the primary writes, which a standby refuses (55000)')],
  ['pg_export_snapshot', session('exports a snapshot of this transaction, of this server')],
  ['pg_log_', OPERATES],
  ['pg_logical_', OPERATES],
  ['pg_replication_', OPERATES],
  ['pg_sync_', OPERATES],
  ['pg_truncate_', OPERATES],
  ['pg_import_', write('changes the catalogues')],
  ['pg_restore_', write('changes statistics')],
  ['pg_clear_', write('changes statistics')],
  ['pg_nextoid', write('takes an identifier from the catalogues')],
  ['pg_stop_', OPERATES],
  ['pg_start_', OPERATES],
  ['pg_read_', FILES],
  ['pg_ls_', FILES],
  ['pg_file_', FILES],
  ['pg_notify', write('sends a notification, which a standby refuses (25006)')],
  ['pg_sequence', SEQUENCE],
  ['pg_terminate_', OPERATES],
  ['pg_cancel_', OPERATES],
  ['pg_reload_', OPERATES],
  ['pg_rotate_', OPERATES],
  ['pg_promote', OPERATES],
  ['pg_wal_replay_', OPERATES],
  ['pg_switch_', OPERATES],
  ['pg_create_', OPERATES],
  ['pg_drop_', OPERATES],
  ['pg_copy_', OPERATES],
  ['pg_backup_', OPERATES],
  ['lo_', LARGE_OBJECT],
  ['dblink', REMOTE],
  ['binary_upgrade_', UPGRADE],
]

// Catalogue views that show one server's memory, files or sessions. Those named pg_stat… are a family above.
const RELATIONS: ReadonlyMap<string, Objection> = new Map([
  ['pg_locks', LOCAL],
  ['pg_settings', LOCAL],
  ['pg_config', LOCAL],
  ['pg_file_settings', LOCAL],
  ['pg_hba_file_rules', LOCAL],
  ['pg_ident_file_mappings', LOCAL],
  ['pg_cursors', LOCAL],
  ['pg_prepared_statements', LOCAL],
  ['pg_prepared_xacts', LOCAL],
  ['pg_replication_slots', LOCAL],
  ['pg_replication_origin_status', LOCAL],
  ['pg_backend_memory_contexts', LOCAL],
  ['pg_shmem_allocations', LOCAL],
  ['pg_shmem_allocations_numa', LOCAL],
  ['pg_dsm_registry_allocations', LOCAL],
  ['pg_buffercache', LOCAL],
  ['pg_aios', LOCAL],
  ['pg_sequences', SEQUENCE],
])

/** Every family begins so; most names do not, and are asked about for each field of each statement. */
const FAMILY = /^(?:pg_|lo_|dblink|binary_upgrade_)/

const UNKNOWN_PG = write('is a pg_ name that is not known to mean the same on a replica')

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

// A sequence can be read like a table; a replica is up to 32 values ahead of the primary, as WAL is written that way.
const SEQUENCE_COLUMNS: ReadonlySet<string> = new Set(['last_value', 'log_cnt', 'is_called'])

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

/** The same for a field. Columns may well begin with lo_, and of that family these alone have one argument. */
function fieldObjection(name: string): Objection | null {
  if (name.startsWith('lo_') && !LARGE_OBJECT_FIELDS.has(name)) return null
  return builtinObjection(name)
}

const LARGE_OBJECT_FIELDS: ReadonlySet<string> = new Set(
  ['close', 'creat', 'create', 'import', 'tell', 'tell64', 'unlink'].map((verb) => `lo_${verb}`)
)

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
