/**
 * One server of a cluster: its processes, its files, short sessions to ask it something. What its role among the
 * others is, and whether they replicate, is decided elsewhere.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import {
  appendFileSync,
  chownSync,
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { environment, type Installation, type Owner } from './binaries.js'
import { childrenOf, findProcess, signal } from './processes.js'
import { connectionTo, NODE_FILE, settingLines, UPSTREAM_FILE } from './settings.js'
import type { ClusterNode, ConnectionConfig, Role, StopMode } from './types.js'
import { until } from './wait.js'

const STOP_SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const satisfies Record<
  StopMode,
  NodeJS.Signals
>
/** A smart stop waits for the clients, so longer than anything else here. */
const STOP_MILLIS = { smart: 60_000, fast: 15_000, immediate: 15_000 } as const satisfies Record<StopMode, number>
const START_ATTEMPTS = 5
const LOG_TAIL_LINES = 20

export interface Place {
  readonly index: number
  readonly host: string
  /** Without one the kernel gives one. */
  readonly port: number | undefined
  /** The cluster's directory: of the data directories and logs of all nodes. */
  readonly cluster: string
  readonly installation: Installation
  readonly ca: string | undefined
}

export class Server implements ClusterNode {
  readonly index: number
  readonly name: string
  readonly host: string
  readonly directory: string
  readonly installation: Installation
  /** Backends that outlive a postmaster killed alone. */
  readonly orphans = new Set<number>()
  /** The walreceiver while replication is cut. */
  readonly cutOff = new Set<number>()
  readonly #place: Place
  readonly #log: string
  #port: number
  #postmaster: ChildProcess | undefined

  constructor(place: Place) {
    this.index = place.index
    this.name = `n${place.index}`
    this.host = place.host
    this.directory = join(place.cluster, this.name)
    this.installation = place.installation
    this.#place = place
    this.#log = join(place.cluster, `${this.name}.log`)
    this.#port = place.port ?? 0
  }

  get port(): number {
    return this.#port
  }

  get running(): boolean {
    const { pid, exitCode, signalCode } = this.#postmaster ?? {}
    return pid !== undefined && exitCode === null && signalCode === null
  }

  get pid(): number | undefined {
    return this.running ? this.#postmaster?.pid : undefined
  }

  config(user: Role = 'app', database = 'app'): ConnectionConfig {
    const { ca } = this.#place
    const config = { host: this.host, port: this.port, user, password: user, database }
    return { ...config, ssl: ca === undefined ? false : { ca } }
  }

  /** A superuser's session for `work`, with a limit on every wait: the server may be frozen. */
  async session<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const limits = { connectionTimeoutMillis: 5000, query_timeout: 10_000, application_name: 'cluster' }
    const client = new pg.Client({ ...this.config('postgres', 'postgres'), ...limits })
    client.on('error', () => undefined) // the query on it fails as well, and says so
    try {
      await client.connect()
      return await work(client)
    } catch (error) {
      throw new Error(`${this.name}: ${String(error)}\n${this.logTail()}`, { cause: error })
    } finally {
      await client.end()
    }
  }

  async ask<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row | undefined> {
    return this.session(async (client) => (await client.query<Row>(text, values)).rows[0])
  }

  /** Asks again and again, on one session, until the row satisfies. */
  async askUntil<Row extends pg.QueryResultRow>(
    awaited: string,
    text: string,
    satisfies: (row: Row | undefined) => boolean,
    values: unknown[] = []
  ): Promise<void> {
    await this.session((client) =>
      this.until(awaited, async () => satisfies((await client.query<Row>(text, values)).rows[0]))
    )
  }

  until<T>(awaited: string, look: Parameters<typeof until<T>>[1], millis?: number): Promise<T> {
    const patience = { evidence: () => this.logTail(), ...(millis === undefined ? {} : { millis }) }
    return until<T>(`${this.name} ${awaited}`, look, patience)
  }

  // Files

  write(file: string, text: string): void {
    writeOwned(join(this.directory, file), text, this.installation.owner)
  }

  append(file: string, text: string): void {
    appendFileSync(join(this.directory, file), text)
  }

  has(file: string): boolean {
    return existsSync(join(this.directory, file))
  }

  remove(file: string): void {
    rmSync(join(this.directory, file), { force: true })
  }

  writeUpstream(upstream: { readonly host: string; readonly port: number } | undefined): void {
    const primary_conninfo = upstream ? connectionTo(upstream, this.name) : ''
    this.write(UPSTREAM_FILE, settingLines({ primary_conninfo, recovery_target_timeline: 'latest' }))
  }

  log(): string {
    return existsSync(this.#log) ? readFileSync(this.#log, 'utf8') : ''
  }

  logTail(): string {
    return `--- end of the log of ${this.name}\n${this.log().trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n')}`
  }

  // Processes

  /** Resolves when the server accepts connections. */
  async start(): Promise<void> {
    if (this.running) throw new Error(`${this.name} is running`)
    // PostgreSQL refuses to start beside backends of its predecessor: they still write to the data directory.
    await this.until('to be rid of the backends of its killed postmaster', () => ![...this.orphans].some(findProcess))
    this.orphans.clear()
    this.cutOff.clear()
    for (let attempt = 1; ; attempt += 1) {
      const isNew = this.#port === 0
      if (isNew) this.#port = await freePort(this.host)
      this.write(NODE_FILE, settingLines({ listen_addresses: this.host, port: this.port, cluster_name: this.name }))
      const logged = this.log().length
      try {
        return await this.#launch()
      } catch (error) {
        // Another program was given the port meanwhile. Once clients know a port it stays.
        const taken = isNew && /Address already in use/.test(this.log().slice(logged))
        if (!taken || attempt === START_ATTEMPTS) throw error
        this.#port = 0
      }
    }
  }

  async #launch(): Promise<void> {
    const { bin, owner } = this.installation
    const log = openSync(this.#log, 'a')
    // A session of its own: Ctrl-C in the terminal would be a fast shutdown.
    const options = { ...owner, cwd: '/', env: environment(), detached: true }
    const postmaster = spawn(join(bin, 'postgres'), ['-D', this.directory], { ...options, stdio: ['ignore', log, log] })
    closeSync(log)
    postmaster.unref()
    let failure: Error | undefined
    postmaster.on('error', (error) => (failure = error))
    this.#postmaster = postmaster
    await this.until('to accept connections', () => {
      if (failure) throw failure
      if (this.running) return this.#isReady()
      throw new Error(`${this.name} did not start\n${this.logTail()}`)
    })
  }

  /** The eighth line of postmaster.pid is what pg_ctl waits for. */
  #isReady(): boolean {
    const file = join(this.directory, 'postmaster.pid')
    if (!existsSync(file)) return false
    const lines = readFileSync(file, 'utf8').split('\n')
    return Number(lines[0]) === this.pid && lines[7]?.trim() === 'ready'
  }

  async stop(mode: StopMode): Promise<void> {
    signal(this.cutOff, 'SIGCONT') // a stopped walreceiver would never obey
    signal(this.family().slice(0, 1), STOP_SIGNALS[mode])
    await this.until('to stop', () => !this.running, STOP_MILLIS[mode])
  }

  /** Resolves when the postmaster has read its files again. */
  async reload(): Promise<void> {
    const loaded = 'select pg_conf_load_time()::text as time'
    const before = await this.ask<{ time: string }>(loaded)
    this.hangUp()
    await this.askUntil<{ time: string }>('to read its settings', loaded, (row) => row?.time !== before?.time)
  }

  /** Tells the postmaster to read its files, and waits for nothing. */
  hangUp(): void {
    signal(this.family().slice(0, 1), 'SIGHUP')
  }

  /** The postmaster, then its children; nothing when it does not run. */
  family(): number[] {
    const { pid } = this
    return pid === undefined ? [] : [pid, ...childrenOf(pid)]
  }
}

export function writeOwned(file: string, text: string, owner: Owner | undefined): void {
  writeFileSync(file, text, { mode: 0o600 })
  if (owner) chownSync(file, owner.uid, owner.gid)
}

/** A port that no program listens on now. One may when it is used: the caller tries again then. */
export function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const listener = createServer()
    listener.once('error', reject)
    listener.listen(0, host, () => {
      const address = listener.address()
      listener.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
