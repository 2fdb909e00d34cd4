/**
 * PgBouncer in front of a node of a test cluster: a process of its own, on a port from the kernel, that ends with the test
 * process. It trusts every user. Nothing here knows what is tested.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { homeDirectory } from '../../src/testing/home.js'
import { freePort } from '../../src/testing/server.js'
import { ROLES } from '../../src/testing/settings.js'
import { environment, installation } from './cluster-binaries.js'
import { until } from './cluster-wait.js'

export type PoolMode = 'session' | 'transaction' | 'statement'

/** What PgBouncer stands in front of: a node of a cluster. */
export interface Behind {
  readonly host: string
  readonly port: number
}

export interface PgBouncer {
  readonly host: string
  readonly port: number
  readonly pid: number
  /** Ends PgBouncer and all connections through it. May be called twice. */
  close(): Promise<void>
}

export interface PgBouncerOptions {
  /** Server connections for each database and user; 1 unless told, so that all clients share that one. */
  readonly poolSize?: number
  /** More of the section [pgbouncer]. */
  readonly settings?: Readonly<Record<string, string | number>>
}

/** Debian's package puts it where only root looks. */
const PATH = `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin`

/** Why there can be no PgBouncer here; null: there can. */
export function missingPgBouncer(): string | null {
  try {
    execFileSync('pgbouncer', ['--version'], { env: { ...process.env, PATH }, stdio: 'ignore' })
    return null
  } catch {
    return 'PgBouncer is not installed (Debian: apt-get install pgbouncer)'
  }
}

/** Resolves when a client gets an answer of the node through it. */
export async function startPgBouncer(
  node: Behind,
  mode: PoolMode,
  { poolSize = 1, settings = {} }: PgBouncerOptions = {}
): Promise<PgBouncer> {
  const { owner } = await installation()
  const directory = mkdtempSync(join(homeDirectory(owner), 'pgbouncer-'))
  const port = await freePort('127.0.0.1')
  const options = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    auth_type: 'trust',
    auth_file: join(directory, 'users.txt'),
    logfile: join(directory, 'log'),
    pool_mode: mode,
    default_pool_size: poolSize,
    ...settings,
  }
  const lines = Object.entries(options).map(([name, value]) => `${name} = ${value}`)
  const databases = `[databases]\n* = host=${node.host} port=${node.port}\n`
  writeFileSync(join(directory, 'pgbouncer.ini'), `${databases}[pgbouncer]\n${lines.join('\n')}\n`)
  writeFileSync(join(directory, 'users.txt'), ROLES.map((role) => `"${role}" "${role}"\n`).join(''))
  if (owner) {
    for (const file of ['', 'pgbouncer.ini', 'users.txt']) chownSync(join(directory, file), owner.uid, owner.gid)
  }
  const env = { ...environment(), PATH }
  const child = spawn('pgbouncer', ['-q', join(directory, 'pgbouncer.ini')], {
    ...owner,
    cwd: directory,
    env,
    stdio: 'ignore',
  })
  const close = () => closed(child, directory)
  try {
    const evidence = () => logOf(directory)
    await until('PgBouncer to answer', () => answersThrough(port, child, 'PgBouncer'), { evidence })
  } catch (error) {
    await close()
    throw error
  }
  return { host: '127.0.0.1', port, pid: child.pid as number, close }
}

/** A client gets an answer through the pooler at this port; throws when its process has ended. */
export async function answersThrough(port: number, child: ChildProcess, name: string): Promise<boolean> {
  if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`)
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'app', database: 'app', password: 'app', ssl: false })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('select 1')
    return true
  } catch {
    return false
  } finally {
    await client.end()
  }
}

function logOf(directory: string): string {
  try {
    return readFileSync(join(directory, 'log'), 'utf8')
  } catch {
    return 'PgBouncer has written no log'
  }
}

async function closed(child: ChildProcess, directory: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const over = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    await over
  }
  rmSync(directory, { recursive: true, force: true })
}
