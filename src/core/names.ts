// What a name in a statement says about where the statement may run: functions by their last name part, relations,
// and the columns of a sequence. Names that PostgreSQL ships are judged here; a catalogue may add the others through
// NamePolicy. It never reads SQL (classify.ts does) and never calls a name harmless because it does not know it.

import { HARMLESS_BUILTINS, HARMLESS_CONTRIB, HARMLESS_PG_FUNCTIONS, HARMLESS_PG_RELATIONS } from './builtins.js'

/** What a catalogue or the user's options know about names that are not PostgreSQL's own. */
export interface NamePolicy {
  /** By the last name part, folded. `primary` also holds against a built-in of that name: overloads look alike. */
  functionOf(name: string): 'harmless' | 'primary' | 'unknown'
  /** By the last name part: a foreign, unlogged or temporary table, or a view that hides a writer. */
  relationIsPrimary(name: string): boolean
}

export interface Objection {
  readonly intent: 'write' | 'session'
  readonly reason: string
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

/** Every family begins so; most names do not, and are asked about for each field of each statement. */
const FAMILY = /^(?:pg_|lo_|dblink|binary_upgrade_)/

const UNKNOWN_PG = write('pg_ name not known to mean the same on a replica')
const UNKNOWN_FUNCTION = write('function not known to be harmless on a replica')
const POLICY_FUNCTION = write('function known to need the primary')
const POLICY_RELATION = write('relation known to need the primary')

// A sequence can be read like a table; a replica is up to 32 values ahead of the primary, as WAL is written that way.
const SEQUENCE_COLUMNS: ReadonlySet<string> = new Set(['last_value', 'log_cnt', 'is_called'])

/** PostgreSQL keeps 63 bytes of a name; a longer one means the same as its beginning. */
function kept(name: string): string {
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

/** What is known against a name of PostgreSQL's own, wherever and however it is spelled. */
function builtinObjection(name: string): Objection | null {
  const exact = FUNCTIONS.get(name)
  if (exact !== undefined) return exact
  if (!FAMILY.test(name)) return null
  for (const [prefix, objection] of FAMILIES) if (name.startsWith(prefix)) return objection
  return null
}

/** `qualifier`: the schema as written, '' without one. Null: harmless on a replica. */
export function objectionToCall(name: string, qualifier: string, policy: NamePolicy | undefined): Objection | null {
  const learned = policy === undefined ? 'unknown' : policy.functionOf(kept(name))
  if (learned === 'primary') return POLICY_FUNCTION
  if (qualifier === '' || qualifier === 'pg_catalog') {
    if (HARMLESS_BUILTINS.has(name) || HARMLESS_PG_FUNCTIONS.has(name)) return null
  }
  if (HARMLESS_CONTRIB.has(name)) return null
  const objection = builtinObjection(name)
  if (objection !== null) return objection
  if (learned === 'harmless') return null
  return name.startsWith('pg_') ? UNKNOWN_PG : UNKNOWN_FUNCTION
}

/** Functions whose call changes the session are looked for in statements of every kind. */
export function sessionCall(name: string): Objection | null {
  const objection = FUNCTIONS.get(name) ?? (name.startsWith('pg_') ? builtinObjection(name) : null)
  return objection?.intent === 'session' ? objection : null
}

/** A name that is not called: a relation, schema or column, or after a dot perhaps a function all the same. */
export function objectionToMention(name: string, afterDot: boolean, policy: NamePolicy | undefined): Objection | null {
  if (name.startsWith('pg_')) {
    if (HARMLESS_PG_RELATIONS.has(name) || HARMLESS_PG_FUNCTIONS.has(name)) return null
    return builtinObjection(name) ?? UNKNOWN_PG
  }
  if (SEQUENCE_COLUMNS.has(name)) return SEQUENCE
  // ('s'::regclass).nextval calls nextval: any function of one argument can be written as a field.
  if (afterDot && name !== 'lo_get') {
    const objection = builtinObjection(name)
    if (objection !== null) return objection
  }
  return policy?.relationIsPrimary(kept(name)) === true ? POLICY_RELATION : null
}
