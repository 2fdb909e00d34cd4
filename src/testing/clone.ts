/**
 * Makes a data directory from that of a running server, as pg_basebackup would (npm's PostgreSQL has no pg_basebackup):
 * the low-level backup interface of https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP
 */

import { chown, copyFile, mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Owner } from './binaries.js'
import type { Server } from './server.js'
import { DELAY_FILE } from './settings.js'

/** Emptied: made anew by every start, or, of pg_wal, copied after the backup has ended. */
const EMPTIED = new Set([
  'pg_wal',
  'pg_replslot', // a slot is its server's own
  'pg_dynshmem',
  'pg_notify',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
])

/** Not copied: of the running server, or of its own role. pg_control is copied last, its checkpoint the newest. */
const LEFT_OUT = new Set([
  'postmaster.pid',
  'postmaster.opts',
  'standby.signal',
  'recovery.signal',
  'backup_label',
  'backup_label.old',
  'tablespace_map',
  'promote',
  'pg_internal.init',
  'pgsql_tmp',
  'pg_control',
  DELAY_FILE,
])

/** Makes the target's data directory that of a replica of `source`; nothing of its own is kept. Starts nothing. */
export async function clone(target: Server, source: Server): Promise<void> {
  const { owner, major } = source.installation
  const [begin, end] =
    major >= 15
      ? [`pg_backup_start('clone', true)`, 'pg_backup_stop(false)']
      : [`pg_start_backup('clone', true, false)`, 'pg_stop_backup(false, false)']
  const label = await source.session(async (client) => {
    await client.query(`select ${begin}`)
    await copyDirectory(source.directory, target.directory, owner)
    const control = join('global', 'pg_control')
    await copy(join(source.directory, control), join(target.directory, control), owner)
    const { rows } = await client.query<{ labelfile: string }>(`select labelfile from ${end}`)
    return rows[0]?.labelfile ?? ''
  })
  target.write('backup_label', label)
  await copyWal(target, source, label)
  target.writeUpstream(source)
  target.write(DELAY_FILE, '')
  target.write('standby.signal', '')
}

/** Writes over what is there (why: template.ts) and removes what the source has not. */
async function copyDirectory(from: string, to: string, owner: Owner | undefined): Promise<void> {
  await makeDirectory(to, owner)
  const entries = (await readdir(from, { withFileTypes: true })).filter(({ name }) => !LEFT_OUT.has(name))
  const wanted = new Set(entries.map(({ name }) => name).filter((name) => !EMPTIED.has(name)))
  for (const name of await readdir(to)) {
    if (!wanted.has(name)) await rm(join(to, name), { recursive: true })
  }
  for (const entry of entries) {
    const [source, copied] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isFile()) await copy(source, copied, owner)
    else if (EMPTIED.has(entry.name)) await makeDirectory(copied, owner)
    else if (entry.isDirectory()) await copyDirectory(source, copied, owner)
  }
}

/** The segments from the backup's first on, and what tells the timelines. */
async function copyWal(target: Server, source: Server, label: string): Promise<void> {
  const first = /\(file ([0-9A-F]{24})\)/.exec(label)?.[1]
  if (first === undefined) throw new Error(`backup_label of ${source.name} names no WAL file:\n${label}`)
  const { owner } = source.installation
  const [from, to] = [join(source.directory, 'pg_wal'), join(target.directory, 'pg_wal')]
  await makeDirectory(join(to, 'archive_status'), owner)
  for (const name of await readdir(from)) {
    const needed = /^[0-9A-F]{24}$/.test(name) ? name.slice(8) >= first.slice(8) : name.endsWith('.history')
    if (needed) await copy(join(from, name), join(to, name), owner)
  }
}

async function makeDirectory(directory: string, owner: Owner | undefined): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  if (owner) await chown(directory, owner.uid, owner.gid)
}

async function copy(from: string, to: string, owner: Owner | undefined): Promise<void> {
  try {
    await copyFile(from, to)
    if (owner) await chown(to, owner.uid, owner.gid)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    // The server dropped or recycled it meanwhile: replay of the WAL will do the same.
    await rm(to, { force: true })
  }
}
