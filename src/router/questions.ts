// The questions that go with statements, in SQL, and how their answers are read. They use names of pg_catalog only: a search_path of
// the application's reaches none of them.

import { type Lsn, parseLsn } from '../core/cluster/lsn.js'
import { receiverOf } from '../core/cluster/receiver.js'
import type { Receiver } from '../core/cluster/sighting.js'

/** Which server this is: in recovery or not, when it was started in microseconds, how the session commits, how long it may rest, which
 * process of the server answers, and what a replica has replayed. */
export const IDENTITY = `select pg_catalog.concat_ws(' ', pg_catalog.pg_is_in_recovery(),
  (extract(epoch from pg_catalog.pg_postmaster_start_time()) operator(pg_catalog.*) 1000000)::pg_catalog.int8,
  pg_catalog.current_setting('synchronous_commit'),
  coalesce(pg_catalog.current_setting('idle_session_timeout', true), '0'), pg_catalog.pg_backend_pid(),
  pg_catalog.pg_last_wal_replay_lsn()) as answer`

export interface Identity {
  readonly inRecovery: boolean
  readonly startedAt: string
  readonly isAsynchronous: boolean
  /** `idle_session_timeout`; 0: there is none. */
  readonly restMillis: number
  readonly pid: number
  readonly replayed: Lsn | null
}

/** Null: the server does not tell. */
export function identityIn(answer: string | null | undefined): Identity | null {
  const [recovery, startedAt = '', commits, rest, pid, replayed] = answer?.split(' ') ?? []
  if (recovery === undefined) return null
  const inRecovery = recovery !== 'f'
  const isAsynchronous = commits === 'off'
  return {
    inRecovery,
    startedAt,
    isAsynchronous,
    restMillis: millisIn(rest),
    pid: Number(pid),
    replayed: parseLsn(replayed),
  }
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 }

/** A time as current_setting() writes it: `1500ms`, `2s`, `1min`. */
export function millisIn(text: string | undefined): number {
  const [, number = '0', unit = 'ms'] = /^(\d+)(ms|s|min|h|d)?$/.exec(text ?? '') ?? []
  return Number(number) * (UNITS[unit] ?? 1)
}

/** The receiver is read behind the position: whatever was replayed came from it, or from one before it. */
export const REPLAYED = `select pg_catalog.concat_ws(' ', case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn() end,
  (pg_catalog.pg_stat_get_wal_receiver()).pid, (pg_catalog.pg_stat_get_wal_receiver()).received_tli) as answer`

export const INSERTED = 'select pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text as answer'

export const COMMITTED = `select case when pg_catalog.current_setting('synchronous_commit') operator(pg_catalog.=) 'off'
  then pg_catalog.pg_current_wal_insert_lsn() else pg_catalog.pg_current_wal_flush_lsn() end::pg_catalog.text as answer`

export function replayedIn(answer: string | null | undefined): {
  readonly lsn: Lsn | null
  readonly receiver: Receiver | null
} {
  const [lsn, ...receiver] = answer?.split(' ') ?? []
  return { lsn: parseLsn(lsn), receiver: receiverOf(receiver.join(' ')) }
}
