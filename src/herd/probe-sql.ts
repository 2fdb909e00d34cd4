// The texts of the questions that a probe asks of PostgreSQL 12 to 18.
//
// Every name has its schema, operators included. A pooler may share the session with clients that set search_path or have
// temporary tables, and no function of the database's users may run with the rights of this role (CVE-2018-1058).

/**
 * Role, positions and timeline: each look asks for them. The receiver is read behind the
 * position, so what was replayed came from this receiver or from an earlier one. Any role sees the row of a sender or a receiver,
 * but not its contents.
 */
export const LEAN = `select r::pg_catalog.text as in_recovery,
  case when not r then pg_catalog.pg_current_wal_insert_lsn() end::pg_catalog.text as insert,
  case when not r then pg_catalog.pg_current_wal_flush_lsn() end::pg_catalog.text as flush,
  pg_catalog.pg_last_wal_replay_lsn()::pg_catalog.text as replay,
  case when not r then pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) end as timeline,
  case when (pg_catalog.pg_stat_get_wal_receiver()).pid is not null then pg_catalog.concat_ws(' ',
    (pg_catalog.pg_stat_get_wal_receiver()).pid, (pg_catalog.pg_stat_get_wal_receiver()).received_tli,
    (pg_catalog.pg_stat_get_wal_receiver()).status, pg_catalog.pg_last_wal_receive_lsn()) end as receiver,
  case when not r then null when exists (select from pg_catalog.pg_stat_get_wal_senders()) then '1' else '0' end as feeds
from (values (pg_catalog.pg_is_in_recovery())) v(r)`

/** The position of a primary. It fails on a standby (55000). */
export const POSITION = `select pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text as insert,
  pg_catalog.pg_current_wal_flush_lsn()::pg_catalog.text as flush,
  pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) as timeline,
  pg_catalog.current_setting('synchronous_commit') as synchronous_commit`

/**
 * The details are asked for at connect, on a change and now and then, as pg_control_* read a file and two lists are joined. The
 * first statement of a process waits for them. Therefore the text calls the functions below the views pg_stat_replication and
 * pg_roles: a new session would have to read and plan those views. What is set for the role or the database applies to connections
 * that were made later, and this connection may be older than such a setting. `pid` is that of the session: a pooler tells its clients
 * another one.
 */
export const DETAIL = `select (select system_identifier from pg_catalog.pg_control_system())::pg_catalog.text as system_identifier,
  (extract(epoch from pg_catalog.pg_postmaster_start_time()) operator(pg_catalog.*) 1000000)
    ::pg_catalog.int8::pg_catalog.text as started_at,
  greatest((select timeline_id from pg_catalog.pg_control_checkpoint()),
    (select min_recovery_end_timeline from pg_catalog.pg_control_recovery()))::pg_catalog.text as control_timeline,
  (select received_tli from pg_catalog.pg_stat_wal_receiver)::pg_catalog.text as received_timeline,
  (select pg_catalog.json_build_object('pid', pid, 'host', sender_host, 'port', sender_port)
    from pg_catalog.pg_stat_wal_receiver)::pg_catalog.text as sender,
  (select pg_catalog.concat_ws(' ', checkpoint_lsn, redo_lsn, timeline_id, next_xid, checkpoint_time)
    from pg_catalog.pg_control_checkpoint()) as checkpoint,
  (select pg_catalog.json_agg(pg_catalog.json_build_object(
      'address', pg_catalog.host(a.client_addr), 'name', a.application_name, 'state', w.state))
    from pg_catalog.pg_stat_get_wal_senders() w, pg_catalog.pg_stat_get_activity(w.pid) a)::pg_catalog.text as senders,
  case when exists (select from pg_catalog.pg_db_role_setting, pg_catalog.unnest(setconfig) as set
      where set operator(pg_catalog.~*) '^synchronous_commit=(off|false|no|0)$'
      and (setdatabase operator(pg_catalog.=) 0 or setdatabase operator(pg_catalog.=)
        (select oid from pg_catalog.pg_database where datname operator(pg_catalog.=) pg_catalog.current_database()))
      and (setrole operator(pg_catalog.=) 0
        or setrole operator(pg_catalog.=) pg_catalog.to_regrole(pg_catalog.quote_ident(session_user))))
    then 'off' else pg_catalog.current_setting('synchronous_commit') end as synchronous_commit,
  (extract(epoch from pg_catalog.current_setting('wal_writer_delay')::pg_catalog.interval) operator(pg_catalog.*) 1000)
    ::pg_catalog.text as wal_writer_delay,
  pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))::pg_catalog.text as wal_segment_size,
  pg_catalog.current_setting('standard_conforming_strings') as standard_conforming_strings,
  pg_catalog.current_setting('server_version') as version, current_user::pg_catalog.text as role,
  pg_catalog.pg_backend_pid()::pg_catalog.text as pid, pg_catalog.current_setting('port') as port,
  pg_catalog.pg_has_role(pg_catalog.to_regrole('pg_read_all_stats'), 'usage')::pg_catalog.text as reads_stats`

/** The role that a function of DETAIL is forbidden to. */
export const IDENTITY = `select pg_catalog.current_setting('server_version') as version, current_user::pg_catalog.text as role,
  pg_catalog.pg_backend_pid()::pg_catalog.text as pid`

/** Whether the server is in recovery, and nothing else: for servers where WAL functions are forbidden or unknown (42501, 0A000). */
export const ROLE = `select pg_catalog.pg_is_in_recovery()::pg_catalog.text as in_recovery, null as insert, null as flush,
  null as replay, null as timeline`

/**
 * Settings of the application's role must not change what is asked here, or how long it may take. Temporary tables are named last,
 * as they come first where they are not named. They may be those of a neighbour on the same pooler.
 */
export const OWN_SETTINGS = [
  'set local statement_timeout = 0',
  'set local lock_timeout = 0',
  // A catalogue is read in milliseconds. To compile its queries takes seconds, and a planner that knows no statistics yet does so.
  'set local jit = off',
  'set local search_path = pg_catalog, pg_temp',
]
