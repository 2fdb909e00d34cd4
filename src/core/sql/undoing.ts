import type { Undone } from '../undone.js'

/** The second word of a statement -> what it is undone as, where the first word alone does not decide. */
export const SECOND_WORDS: ReadonlyMap<string, Undone> = new Map([
  // Directories and files, made before the commit and after (dbcommands.c, tablespace.c: PreventInTransactionBlock).
  ['create database', 'parts'],
  ['drop database', 'parts'],
  ['create tablespace', 'parts'],
  ['drop tablespace', 'parts'],
  // A slot on the publisher is made or dropped by a connection to it (subscriptioncmds.c).
  ['create subscription', 'parts'],
  ['alter subscription', 'parts'],
  ['drop subscription', 'parts'],
  ['alter system', 'parts'], // postgresql.auto.conf is a file
  ['commit prepared', 'parts'], // committed before it is answered, and perhaps before it fails
  ['rollback prepared', 'parts'],
])

/** `concurrently` works in several transactions, and leaves an invalid index or a pending partition when it fails. */
export const CONCURRENT: ReadonlySet<string> = new Set(['create', 'drop', 'alter', 'reindex', 'repack'])

const words = (text: string) => text.trim().split(/\s+/)

/**
 * Functions that act outside of the transaction of their call. All VOLATILE functions of pg_proc on 12 to 18 and of the
 * contrib modules were gone through; those that are not here are undone with their statement, or change nothing.
 */
export const OUTSIDE: ReadonlySet<string> = new Set([
  'setval', // sequence.c: not transactional
  'lo_export', // writes a file of the server
  'pg_logical_emit_message', // written at once with transactional => false
  ...words('pg_create_restore_point pg_switch_wal pg_switch_xlog pg_log_standby_snapshot'), // WAL that stays
  ...words('pg_backup_start pg_backup_stop pg_start_backup pg_stop_backup'),
  // Slots are files (slotfuncs.c); reading changes consumes them.
  ...words('pg_create_physical_replication_slot pg_create_logical_replication_slot pg_drop_replication_slot'),
  ...words('pg_copy_physical_replication_slot pg_copy_logical_replication_slot pg_replication_slot_advance'),
  ...words('pg_logical_slot_get_changes pg_logical_slot_get_binary_changes pg_sync_replication_slots'),
  ...words('pg_replication_origin_advance pg_replication_origin_session_setup pg_replication_origin_session_reset'),
  // Session-level locks outlive a ROLLBACK (explicit-locking.html#ADVISORY-LOCKS); those named _xact_ do not.
  ...words('pg_advisory_lock pg_advisory_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared'),
  ...words('pg_advisory_unlock pg_advisory_unlock_shared pg_advisory_unlock_all'),
  // Signals, configuration, recovery, logs.
  ...words('pg_terminate_backend pg_cancel_backend pg_reload_conf pg_rotate_logfile pg_rotate_logfile_old pg_promote'),
  ...words('pg_wal_replay_pause pg_wal_replay_resume pg_xlog_replay_pause pg_xlog_replay_resume'),
  ...words('pg_log_backend_memory_contexts pg_stop_making_pinned_objects'),
  // Pages changed in place: brin_revmap.c, ginfast.c, pg_visibility, pg_surgery; statistics, which are no table before 18.
  ...words('brin_summarize_new_values brin_summarize_range brin_desummarize_range gin_clean_pending_list'),
  ...words('pg_truncate_visibility_map heap_force_kill heap_force_freeze'),
  ...words('pg_restore_relation_stats pg_restore_attribute_stats pg_clear_relation_stats pg_clear_attribute_stats'),
  // Files: adminpack, until 16; orafce's utl_file.
  ...words('pg_file_write pg_file_unlink pg_file_rename pg_file_sync pg_logdir_rotate'),
  ...words('fopen fremove frename fcopy'),
  ...words('autoprewarm_start_worker autoprewarm_dump_now pg_background_launch pg_background_result'),
  ...words('postgres_fdw_disconnect postgres_fdw_disconnect_all'),
  // HTTP: extension http. pg_net's functions of these names are undone, as they fill a table.
  ...words('http http_get http_post http_put http_patch http_delete http_head'),
  ...words('query_export_to_s3 table_import_from_s3'), // aws_s3
])

/** Families that a newer server may add to. */
export const OUTSIDE_PREFIX = /^(?:dblink|pg_stat_reset|pg_stat_statements_reset|pg_buffercache_evict|binary_upgrade_)/

/** Of dblink's, these ask or build a text. */
export const HARMLESS =
  /^dblink_(?:build_sql_|current_query|error_message|fdw_validator|get_connections|get_pkey|is_busy)/

/** They run SQL that is given as text, or named by it: what that calls is not read. */
export const HIDDEN: ReadonlySet<string> = new Set([
  ...words('query_to_xml query_to_xmlschema query_to_xml_and_xmlschema ts_stat ts_rewrite crosstab crosstabn'),
  ...words('connectby xpath_table'),
])

/** What a word says of the statement that it stands in. `head` is its first word, `before` the word before this one. */
export function undoneByWord(word: string, head: string, before: string, isSecond: boolean): Undone | null {
  if (isSecond) {
    const found = SECOND_WORDS.get(`${head} ${word}`)
    if (found !== undefined) return found
  }
  // CONCURRENTLY cannot name a table, column or function unless quoted (pg_get_keywords(): catcode T).
  if (word === 'concurrently') return CONCURRENT.has(head) ? 'parts' : null
  if (word === 'execute') return head === 'explain' ? 'hidden' : null
  // ALTER DATABASE … SET TABLESPACE moves its files.
  if (word === 'tablespace') return head === 'alter' && before === 'set' ? 'repeatable' : null
  if (word === 'program') return head === 'copy' && (before === 'to' || before === 'from') ? 'outside' : null
  return null
}

/** Behind CREATE [OR REPLACE] what these define is not run yet, whatever it calls. */
export const DEFINED_ONLY: ReadonlySet<string> = new Set([
  ...['function', 'procedure', 'view', 'rule', 'trigger', 'policy', 'aggregate', 'operator', 'recursive'],
])

/** What is known of a function by its name. `whole`: nothing is known against it. */
export function undoneByCall(name: string): 'whole' | 'hidden' | 'outside' {
  if (OUTSIDE.has(name) || (OUTSIDE_PREFIX.test(name) && !HARMLESS.test(name))) return 'outside'
  return HIDDEN.has(name) ? 'hidden' : 'whole'
}

/**
 * As a regular expression of PostgreSQL's own: the body of a function calls one of these. Without the escapes for the borders
 * of words, which cost a hundred times as much there.
 */
export const OUTSIDE_IN_BODIES = `(^|\\W)(${[...OUTSIDE].join('|')}|dblink(_(connect|connect_u|exec|open|fetch|close|send_query|get_result|cancel_query|disconnect))?|pg_stat_reset\\w*|pg_stat_statements_reset|pg_buffercache_evict\\w*)"?\\s*\\(`
