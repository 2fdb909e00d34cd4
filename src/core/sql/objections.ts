// The names that PostgreSQL ships and that keep a statement from a replica, each with the reason: functions, families of functions,
// relations, columns. Tables only; names.ts reads them.

/** Why a name keeps a statement from a replica. */
export interface Objection {
  readonly intent: 'write' | 'session'
  readonly reason: string
}

export const write = (reason: string): Objection => ({ intent: 'write', reason })
const session = (reason: string): Objection => ({ intent: 'session', reason })

const ADVISORY = session('takes or gives back an advisory lock, which each server keeps for itself')
export const SEQUENCE = write('advances or reads a sequence, or remembers its value in the session')
/** Shared, because ts_rewrite deserves it with two arguments only. */
export const QUERY_TEXT = write('runs SQL given as text, which is not read here')
const LOCAL = write('answers for the server it runs on')
const XID = write('asks for a transaction ID, which a standby cannot give (25006)')
const FILES = write('reads or writes files of the server it runs on')
export const REMOTE = write('runs SQL on another server, which a replica does not stop')
const LARGE_OBJECT = write('changes large objects or keeps one open')
const OPERATES = write('operates the server it runs on: signals, configuration, statistics, recovery, slots')
const UPGRADE = write('is for pg_upgrade only')
const INDEX = write('changes an index')

// Functions that must not run on a replica though nothing in their name's prefix says so. Most of them succeed there.
export const FUNCTIONS: ReadonlyMap<string, Objection> = new Map([
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
  // These build their query from the name of a table or schema, which is not checked either.
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
export const FAMILIES: readonly (readonly [prefix: string, objection: Objection])[] = [
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
export const RELATIONS: ReadonlyMap<string, Objection> = new Map([
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
export const FAMILY = /^(?:pg_|lo_|dblink|binary_upgrade_)/

export const UNKNOWN_PG = write('is a pg_ name that is not known to mean the same on a replica')

// A sequence can be read like a table; a replica is up to 32 values ahead of the primary, as WAL is written that way.
export const SEQUENCE_COLUMNS: ReadonlySet<string> = new Set(['last_value', 'log_cnt', 'is_called'])

/** Columns may well begin with lo_: of that family these functions alone have one argument, and can be written as a field. */
export const LARGE_OBJECT_FIELDS: ReadonlySet<string> = new Set(
  ['close', 'creat', 'create', 'import', 'tell', 'tell64', 'unlink'].map((verb) => `lo_${verb}`)
)
