// What a server's error says: about its session or itself (FATAL, PANIC), or about one statement (ERROR). Any code may raise
// any SQLSTATE: RAISE, postgres_fdw, dblink, extensions. So a code that says something about the node counts only with its
// severity, and as an ERROR only with the core routine that raises it.

/** One ErrorResponse, as the server wrote it. */
export interface Spoken {
  /** SQLSTATE, field `C`. */
  readonly code: string | null
  /** Field `V`, which is never localised. Null: there is none (libpq's errors, old poolers). */
  readonly severity: 'ERROR' | 'FATAL' | 'PANIC' | null
  /** Field `R`: the C function that raised it. */
  readonly routine: string | null
  /** It arose in a function, or in a statement inside the statement (fields `W` and `q`). */
  readonly nested: boolean
  /** A part of the text had been answered before. */
  readonly begun: boolean
  /** The session was not ready yet: whatever the server says then ends it. */
  readonly starting: boolean
}

export interface Meaning {
  readonly kind: FailureKind
  /** The node is worth a probe at once. */
  readonly accuses: boolean
  /** The server said so before doing anything, or undid what it had begun. */
  readonly undone: boolean
}

/** FATAL -> meaning (PostgreSQL docs, appendix A; behaviour measured on 12 to 18). */
export const SESSION: Readonly<Record<string, Meaning>> = {
  // admin_shutdown: fast stop or pg_terminate_backend. The transaction is rolled back.
  '57P01': { kind: 'lost', accuses: true, undone: true },
  // crash_shutdown: another backend crashed, or an immediate stop.
  '57P02': { kind: 'lost', accuses: true, undone: false },
  // cannot_connect_now: starting up, shutting down, in recovery without hot standby.
  '57P03': { kind: 'starting', accuses: true, undone: true },
  // database_dropped while connected
  '57P04': { kind: 'lost', accuses: false, undone: true },
  // idle_session_timeout: the statement came too late to be read, and a new session takes it.
  '57P05': { kind: 'lost', accuses: false, undone: true },
  // idle_in_transaction_session_timeout, transaction_timeout: the session's own limits. A second run would meet them again.
  '25P03': { kind: 'statement', accuses: false, undone: true },
  '25P04': { kind: 'statement', accuses: false, undone: true },
  // too_many_connections: alive, and not a sign of failover.
  '53300': { kind: 'full', accuses: false, undone: true },
  // Wrong password or no pg_hba.conf entry; unknown database.
  '28P01': { kind: 'denied', accuses: false, undone: true },
  '28000': { kind: 'denied', accuses: false, undone: true },
  '3D000': { kind: 'denied', accuses: false, undone: true },
  // Class 08, connection exceptions that a server or a pooler reports in words.
  '08000': { kind: 'lost', accuses: true, undone: false },
  '08001': { kind: 'unreachable', accuses: true, undone: true },
  '08003': { kind: 'lost', accuses: true, undone: false },
  '08004': { kind: 'denied', accuses: false, undone: true },
  '08006': { kind: 'lost', accuses: true, undone: false },
  '08P01': { kind: 'lost', accuses: true, undone: false },
}

/** PANIC: the server stops with the session, and what it had made durable is not known. */
const PANIC: Meaning = { kind: 'lost', accuses: true, undone: false }

/** Any other FATAL, and any ERROR that is the statement's own. */
const OWN: Meaning = { kind: 'statement', accuses: false, undone: true }

interface Raised {
  readonly kind: FailureKind
  readonly accuses: boolean
  readonly routines: ReadonlySet<string>
}

/**
 * ERROR -> what it says of the node's role or state, and the core routines that may say so. Measured on 12 to 18: about 250
 * statements on a primary and on its standby, each error with its routine; those of large objects before 16 and of logical decoding
 * before 16 from PostgreSQL's regression suite on a standby. An error of another routine is the statement's own.
 */
export const STATEMENT: Readonly<Record<string, readonly Raised[]>> = {
  // read_only_sql_transaction: a standby, a default_transaction_read_only, or the user's own READ ONLY block.
  '25006': raised('role', 'PreventCommandIfReadOnly PreventCommandDuringRecovery replorigin_check_prerequisites'),
  // feature_not_supported
  '0A000': [
    // SERIALIZABLE, which no standby can give
    ...raised('isolation', 'GetSerializableTransactionSnapshot'),
    // "cached plan must not change result type": a named statement from before an ALTER TABLE. No word about replicas.
    ...raised('missing', 'RevalidateCachedQuery'),
    // an unlogged table, SET TRANSACTION READ WRITE, SERIALIZABLE by name, logical decoding before 16
    ...raised('unfit', 'get_relation_info call_bool_check_hook call_enum_check_hook CheckLogicalDecodingRequirements'),
  ],
  // object_not_in_prerequisite_state: "recovery is in progress", lock modes, what only a primary's session has.
  '55000': raised(
    'unfit',
    `LockAcquireExtended CheckLogicalDecodingRequirements brin_summarize_range brin_desummarize_range currval_oid
    do_pg_start_backup do_pg_stop_backup error_commit_ts_disabled gin_clean_pending_list lastval pg_backup_start pg_backup_stop
    pg_create_restore_point pg_current_wal_flush_lsn pg_current_wal_insert_lsn pg_current_wal_lsn pg_is_wal_replay_paused
    pg_log_standby_snapshot pg_start_backup pg_stop_backup pg_switch_wal pg_sync_replication_slots pg_wal_replay_pause
    pg_walfile_name pg_walfile_name_offset`
  ),
  // internal_error: whatever asks for an OID or a transaction ID by a back door; large objects before 16.
  XX000: raised('unfit', 'GetNewObjectId GetNewTransactionId GetNewMultiXactId AssignTransactionId'),
  // serialization_failure: a conflict with recovery, until 16 and from 17 on. Any other is the transaction's own.
  '40001': raised('conflict', 'ProcessInterrupts ProcessRecoveryConflictInterrupt'),
  // undefined_table, _column, _function, _object, invalid_schema_name: what was created is not replayed yet.
  '42P01': raised('missing', 'parserOpenTable errorMissingRTE RangeVarGetRelidExtended regclassin'),
  '42703': raised(
    'missing',
    `errorMissingColumn unknown_attribute transformFromClauseItem convert_column_name pg_get_serial_sequence
    CopyGetAttnums`
  ),
  '42883': raised(
    'missing',
    `ParseFuncOrColumn op_error get_sort_group_operators LookupFuncWithArgs regprocin regprocedurein regoperin
    regoperatorin`
  ),
  '42704': raised(
    'missing',
    `typenameType parseTypeString get_role_oid regrolein get_collation_oid regcollationin get_ts_config_oid regconfigin
    get_ts_dict_oid regdictionaryin get_language_oid get_foreign_data_wrapper_oid get_foreign_server_oid get_tablespace_oid
    transformRangeTableSample transformWindowFuncCall inv_open find_option GetConfigOptionByName`
  ),
  '3F000': raised('missing', 'get_namespace_oid regnamespacein'),
}

/** SQLSTATE -> routines that refuse a text or its parameters before any of it is executed. */
export const UNPARSED: Readonly<Record<string, ReadonlySet<string>>> = {
  // syntax_error: the parser reads the whole text first.
  '42601': named('scanner_yyerror base_yyparse makeRangeVarFromQualifiedName exec_parse_message'),
  // protocol_violation: one parameter too many, or too few.
  '08P01': named('exec_bind_message'),
}

function raised(kind: FailureKind, routines: string): readonly Raised[] {
  return [{ kind, accuses: kind === 'role', routines: named(routines) }]
}

function named(routines: string): ReadonlySet<string> {
  return new Set(routines.split(/\s+/))
}

export function meaningOf(spoken: Spoken): Meaning {
  if (spoken.severity === 'PANIC') return PANIC
  const byRoutine = roleOf(spoken)
  if (!speaksOfSession(spoken)) {
    // Without a severity nothing is accused, and what either reading would leave open is open.
    if (spoken.severity !== null) return byRoutine ?? OWN
    const undone = rowAt(SESSION, spoken.code)?.undone ?? true
    return { ...(byRoutine ?? OWN), accuses: false, undone }
  }
  return rowAt(SESSION, spoken.code) ?? byRoutine ?? OWN
}

/** Returns true if the session has ended, or was refused: FATAL, PANIC, and every error before the session is ready. */
export function speaksOfSession({ severity, starting }: Spoken): boolean {
  return starting || severity === 'FATAL' || severity === 'PANIC'
}

/** Returns true if none of the text was executed: the error is the first answer to it, and no called function raised it. */
export function isUnparsed({ code, routine, nested, begun, severity }: Spoken): boolean {
  return severity === 'ERROR' && !nested && !begun && routine !== null && rowAt(UNPARSED, code)?.has(routine) === true
}

function roleOf({ code, routine }: Spoken): Meaning | null {
  if (routine === null) return null
  const found = rowAt(STATEMENT, code)?.find(({ routines }) => routines.has(routine))
  return found === undefined ? null : { kind: found.kind, accuses: found.accuses, undone: true }
}

/** A server may send any code: `constructor` is in no table. */
export function rowAt<T>(table: Readonly<Record<string, T>>, code: string | null): T | undefined {
  return code !== null && Object.hasOwn(table, code) ? table[code] : undefined
}

/** What went wrong, in the words the rest of the code switches on. */
export type FailureKind =
  | 'unreachable' // no server listens at the address, or there is no route to it
  | 'starting' // alive, but takes no sessions: starting up, shutting down, recovering
  | 'lost' // the connection broke
  | 'silent' // no answer in time
  | 'role' // a replica was asked to write, or a primary says it is none
  | 'unfit' // what a replica cannot do and the primary perhaps can; an ordinary error on the primary
  | 'isolation' // a replica has no SERIALIZABLE, so with that as the default it refuses everything
  | 'missing' // what the statement names is not there: on a replica perhaps not yet
  | 'full' // no connection slots
  | 'denied' // wrong password, no such database, no right to connect, no trust in the certificate
  | 'conflict' // a replica cancelled a read to go on replaying
  | 'dropped' // our own: the node's connections were given up before the statement was sent
  | 'stale' // our own: a fresh connection proved to be behind the required position
  | 'statement' // the server answered this statement with an error; the node is healthy
  | 'caller' // not the server's doing at all: a TypeError, a closed pool, what the application's own code threw
