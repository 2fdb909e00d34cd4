/**
 * Who follows whom: making a server the replica of another, and waiting until WAL has arrived. Decides nothing about
 * which server should be the primary.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './binaries.js'
import { TestingError } from './errors.js'
import { heal, isFrozen } from './harm.js'
import type { Server } from './server.js'

const FOLLOW_MILLIS = 10_000

/**
 * What a server logs when its own WAL goes on past the point where its upstream's timeline began: it can never follow.
 * The third is written by the upstream and arrives in a FATAL of the walreceiver.
 */
const DIVERGED = [
  /new timeline \d+ forked off current database system timeline \d+ before current recovery point/,
  /requested timeline \d+ is not a child of this server's history/,
  /requested starting point \S+ on timeline \d+ is not in this server's history/,
]

interface Receiving {
  readonly status: string
  readonly sender_host: string
  readonly sender_port: number
  readonly timeline: number
}

/** Resolves when `server` streams from `upstream`, on upstream's timeline. Throws when it has diverged. */
export async function follow(server: Server, upstream: Server): Promise<void> {
  if (!upstream.running) throw new Error(`${server.name} cannot follow ${upstream.name}, which is not running`)
  await refuseRival(server, upstream)
  const logged = server.log().length
  try {
    await redirect(server, upstream)
    const timeline = await timelineOf(upstream)
    await server.session((client) =>
      server.until(
        `to stream from ${upstream.name}`,
        async () => {
          refuseDiverged(server, upstream, logged)
          const { rows } = await client.query<Receiving>(
            'select status, sender_host, sender_port, receive_start_tli as timeline from pg_stat_wal_receiver'
          )
          return rows.some((row) => isFrom(row, upstream, timeline))
        },
        FOLLOW_MILLIS
      )
    )
  } catch (error) {
    refuseDiverged(server, upstream, logged) // it may have ended because of it
    throw error
  }
}

function isFrom(row: Receiving, upstream: Server, timeline: number): boolean {
  const same = row.sender_host === upstream.host && row.sender_port === upstream.port
  return same && row.status === 'streaming' && row.timeline >= timeline
}

/** Only a running replica can change its upstream without a restart, and only since PostgreSQL 13. */
async function redirect(server: Server, upstream: Server): Promise<void> {
  heal(server)
  server.writeUpstream(upstream)
  if (server.running && server.installation.major >= 13 && (await inRecovery(server))) return server.hangUp()
  if (server.running) await server.stop('fast')
  server.write('standby.signal', '')
  await server.start()
}

function refuseDiverged(server: Server, upstream: Server, logged: number): void {
  const line = server
    .log()
    .slice(logged)
    .split('\n')
    .find((each) => DIVERGED.some((pattern) => pattern.test(each)))
  if (line !== undefined) throw diverged(server, upstream, line)
}

/**
 * Two servers promoted from one timeline both call theirs by the next number, and PostgreSQL would take the WAL of one
 * for that of the other. A server without standby.signal is, or was when it stopped, a primary.
 */
async function refuseRival(server: Server, upstream: Server): Promise<void> {
  if (server.has('standby.signal') || (await inRecovery(upstream))) return
  const own = readdirSync(join(server.directory, 'pg_wal'))
    .flatMap((name) => /^([0-9A-F]{8})\.history$/.exec(name)?.[1] ?? [])
    .reduce((latest, timeline) => Math.max(latest, Number.parseInt(timeline, 16)), 1)
  const theirs = await timelineOf(upstream)
  if (theirs <= own) throw diverged(server, upstream, `it was primary on timeline ${own}, not before ${theirs}`)
}

function diverged(server: Server, upstream: Server, reason: string): Error {
  const what = `${server.name} has diverged from ${upstream.name} and cannot follow it: use reclone()`
  return new TestingError('PGHERD_DIVERGED', `${what}\n${reason}`)
}

export async function inRecovery(server: Server): Promise<boolean> {
  const row = await server.ask<{ recovering: boolean }>('select pg_is_in_recovery() as recovering')
  return row?.recovering === true
}

/** A primary's own; of a replica the one it receives, which may be an old one for a moment. */
async function timelineOf(server: Server): Promise<number> {
  const row = await server.ask<{ timeline: number | null }>(
    `select case when pg_is_in_recovery() then (select received_tli from pg_stat_wal_receiver)
      else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end as timeline`
  )
  return row?.timeline ?? 1
}

/** Resolves when `server` has replayed all that `upstream` had on disk when this was called. */
export async function caughtUp(server: Server, upstream: Server): Promise<void> {
  const row = await upstream.ask<{ lsn: string }>(
    `select case when pg_is_in_recovery() then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
      else pg_current_wal_flush_lsn() end::text as lsn`
  )
  await server.askUntil<{ there: boolean }>(
    `to replay ${row?.lsn} of ${upstream.name}`,
    'select coalesce(pg_last_wal_replay_lsn(), pg_current_wal_flush_lsn()) >= $1::pg_lsn as there',
    (answer) => answer?.there === true,
    [row?.lsn]
  )
}

export function streaming(server: Server, count: number): Promise<void> {
  return server.askUntil<{ count: number }>(
    `to have ${count} streaming replicas`,
    `select count(*)::int from pg_stat_replication where state = 'streaming'`,
    (row) => row?.count === count
  )
}

export async function triggerPromotion(server: Server): Promise<void> {
  heal(server) // promotion waits for the walreceiver to end
  const { bin, owner } = server.installation
  await run(join(bin, 'pg_ctl'), ['promote', '--no-wait', '-D', server.directory], owner)
}

export async function promote(server: Server): Promise<void> {
  await triggerPromotion(server)
  await server.askUntil<{ recovering: boolean }>(
    'to accept writes',
    'select pg_is_in_recovery() as recovering',
    (row) => row?.recovering === false
  )
}

export async function pauseReplay(server: Server): Promise<void> {
  await server.ask('select pg_wal_replay_pause()')
  // Before 14 the function only asks for the pause, and nothing tells when it has come.
  const paused =
    server.installation.major >= 14 ? `pg_get_wal_replay_pause_state() = 'paused'` : 'pg_is_wal_replay_paused()'
  await server.askUntil<{ paused: boolean }>('to pause replay', `select ${paused} as paused`, (row) => !!row?.paused)
}

/** The one server that runs, answers and is not in recovery. */
export async function primaryOf(servers: readonly Server[]): Promise<Server> {
  const answering = servers.filter((server) => server.running && !isFrozen(server))
  const recovering = await Promise.all(answering.map(inRecovery))
  const [primary, ...more] = answering.filter((_, index) => !recovering[index])
  if (!primary || more.length > 0) throw new Error(`not one primary but ${primary ? 1 + more.length : 0}`)
  return primary
}
