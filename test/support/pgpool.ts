/**
 * pgpool-II in front of a test cluster: writes go to the primary, reads to the replicas. A process of its own with children, on ports
 * from the kernel. It trusts every user. Nothing here knows what is measured.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chownSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { homeDirectory } from '../../src/testing/home.js'
import { freePort } from '../../src/testing/server.js'
import { settingLines } from '../../src/testing/settings.js'
import type { Setting } from '../../src/testing/types.js'
import { environment, installation } from './cluster-binaries.js'
import { childrenOf } from './cluster-processes.js'
import { until } from './cluster-wait.js'
import { answersThrough, type Behind } from './pgbouncer.js'

export interface Pgpool extends Behind {
  readonly pid: number
  /** Ends pgpool-II and all connections through it. May be called twice. */
  close(): Promise<void>
}

/** Debian's package puts it where only root looks. */
const PATH = `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin`

/** Why there can be no pgpool-II here; null: there can. */
export function missingPgpool(): string | null {
  try {
    execFileSync('pgpool', ['--version'], { env: { ...process.env, PATH }, stdio: 'ignore' })
    return null
  } catch {
    return 'pgpool-II is not installed (Debian: apt-get install pgpool2)'
  }
}

/** `nodes`: the primary first. Each of the `children` serves one client. Resolves when a client gets an answer through it. */
export async function startPgpool(nodes: readonly Behind[], children: number): Promise<Pgpool> {
  const { owner } = await installation()
  const directory = mkdtempSync(join(homeDirectory(owner), 'pgpool-'))
  const [port, pcpPort] = [await freePort('127.0.0.1'), await freePort('127.0.0.1')]
  const file = (name: string) => join(directory, name)
  writeFileSync(
    file('pgpool.conf'),
    settingLines({ ...settingsFor(nodes, children, directory), port, pcp_port: pcpPort })
  )
  writeFileSync(file('pcp.conf'), '')
  writeFileSync(file('log'), '')
  if (owner) {
    for (const name of ['', 'pgpool.conf', 'pcp.conf', 'log']) chownSync(file(name), owner.uid, owner.gid)
  }
  const log = openSync(file('log'), 'a')
  const args = ['-n', '-D', '-f', file('pgpool.conf'), '-F', file('pcp.conf')]
  const env = { ...environment(), PATH }
  const child = spawn('pgpool', args, { ...owner, cwd: directory, env, stdio: ['ignore', log, log] })
  closeSync(log)
  const close = () => closed(child, directory)
  try {
    const evidence = () => readFileSync(file('log'), 'utf8').slice(-4000)
    await until('pgpool-II to answer', () => answersThrough(port, child, 'pgpool-II'), { evidence })
  } catch (error) {
    await close()
    throw error
  }
  return { host: '127.0.0.1', port, pid: child.pid as number, close }
}

function settingsFor(nodes: readonly Behind[], children: number, directory: string): Record<string, Setting> {
  const backends = nodes.map(({ host, port }, index) => ({
    [`backend_hostname${index}`]: host,
    [`backend_port${index}`]: port,
    [`backend_weight${index}`]: index === 0 ? 0 : 1,
    [`backend_flag${index}`]: index === 0 ? 'ALWAYS_PRIMARY' : 'DISALLOW_TO_FAILOVER',
  }))
  return Object.assign(
    {
      listen_addresses: '127.0.0.1',
      pcp_listen_addresses: '127.0.0.1',
      unix_socket_directories: directory,
      pcp_socket_dir: directory,
      wd_ipc_socket_dir: directory,
      pid_file_name: join(directory, 'pid'),
      logdir: directory,
      backend_clustering_mode: 'streaming_replication',
      load_balance_mode: true,
      num_init_children: children + 2,
      max_pool: 1,
      sr_check_user: 'postgres',
      sr_check_database: 'postgres',
      enable_pool_hba: false,
    },
    ...backends
  )
}

/** SIGINT: it does not wait for its clients. Its children end after it. */
async function closed(child: ChildProcess, directory: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    const children = childrenOf(child.pid)
    const over = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGINT')
    await over
    await until('the children of pgpool-II to end', async () => !children.some((pid) => isAlive(pid)))
  }
  rmSync(directory, { recursive: true, force: true })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
