// The proxy as a whole: the router and its herd, the server connections, the clients. A face beside pool/: what is a read, where it may
// run, what it must see and what runs again after a failure the router decides.

import { randomBytes } from 'node:crypto'
import net from 'node:net'
import type { Config } from '../config/config.js'
import { clientConfigFor } from '../config/dial.js'
import type { Scope } from '../core/session/causal-scope.js'
import { PgherdError } from '../errors.js'
import type { Attempt } from '../herd/herd.js'
import { Router } from '../router/router.js'
import { type Clock, timeOfDay } from '../runtime/clock.js'
import type { Complain } from '../runtime/complaints.js'
import { Users, type UsersParts } from './auth/users.js'
import { Client } from './client/client.js'
import { Door, type Guest, type Tls } from './client/door.js'
import type { ClientParts } from './client/parts.js'
import { Scopes } from './client/scopes.js'
import { Console } from './console/console.js'
import { type Counted, counted, type Managed } from './console/managed.js'
import { Pause } from './console/pause.js'
import type { Team } from './console/team.js'
import { type ProxyOptions, shareOf } from './options.js'
import { Ids, Pids } from './pids.js'
import { cancelOn } from './server/cancelling.js'
import type { ServerConnection } from './server/connection.js'
import type { Dialing } from './server/dial.js'
import { dialingOf } from './server/dialing.js'
import { Vouched } from './server/parts.js'
import { ServerError } from './server/question.js'
import { Sides } from './server/sides.js'
import { failureSaid } from './session/failures.js'
import { Plans } from './session/plan.js'
import { Library } from './session/prepared.js'
import { asSettings, startupSettings } from './session/settings.js'
import { checkWishes, wishesIn } from './session/wishes.js'
import { Welcomes } from './welcomes.js'
import { clientRules } from './wire/rules.js'
import { NEWEST_MINOR, type Startup } from './wire/startup.js'
import { authentication, backendKeyData, Code, errorResponse, parameterStatus, ready, type Said } from './wire/write.js'

const MOST_TEXTS = 20_000
/** The database whose clients get the console. */
export const CONSOLE = 'pgherd'

export interface ProxyParts {
  readonly clock: Clock
  readonly complain: Complain
  readonly config: Config
  readonly options: ProxyOptions
  readonly list: UsersParts['list']
  readonly tls: Tls | null
  readonly version: string
  readonly reload: Managed['parts']['reload']
  readonly shown: Managed['parts']['shown']
  readonly team: Team | null
  readonly salting?: UsersParts['salting']
  /** The console has asked for the end. */
  readonly shutdown: Managed['parts']['shutdown']
}

/** All parts of the proxy look at the same ones: they change while it runs. */
type Live<T> = { -readonly [K in keyof T]: T[K] }

export class PgProxy implements Managed {
  readonly parts: ProxyParts
  readonly router: Router
  readonly sides: Sides
  readonly clients = new Map<number, Client>()
  readonly users: Users
  readonly startedAt: Date
  readonly options: Live<ProxyOptions>
  readonly #pids: Pids
  readonly #doors = new Set<net.Socket>()
  readonly #scopes = new Scopes()
  readonly #clientParts: ClientParts
  readonly #welcomes: Welcomes
  readonly #servers = new Set<net.Server>()
  readonly #console: Console
  readonly #ids: Ids
  #tls: Tls | null
  #isEnding = false
  logins = 0

  constructor(parts: ProxyParts) {
    this.parts = parts
    this.#tls = parts.tls
    this.startedAt = timeOfDay()
    this.options = { ...parts.options }
    const { options } = this
    const { config, clock, complain } = parts
    const worker = parts.team?.worker ?? null
    this.#pids = new Pids(worker)
    this.#ids = new Ids(worker)
    this.router = new Router(config, {
      clock,
      complain,
      scopes: this.#scopes,
      busy: () => this.sides.isBusy,
      sessions: (key) => this.sides.sessionsOf(key),
      connections: () => this.sides.connections(),
      sharesSession: () => false,
      limits: { max: shareOf(options.defaultPoolSize, worker), min: 0, namespace: null },
      tokenLost: () => {},
    })
    this.sides = new Sides({
      clock,
      router: this.router,
      options,
      worker,
      vouched: new Vouched(),
      dialing: (address, user, database) => dialingOf(address, user, database, { config, options }, this.users),
      opened: () => {},
      refusedLogin: (user, error) => {
        if (typeof error.source === 'object' && error.source.code === '28P01') this.users.forget(user)
      },
      tooLate: (key, waiting) => {
        const message = `query_wait_timeout: all connections to ${key} are in use, and ${waiting} clients wait for one`
        return new PgherdError('PGHERD_QUEUE_FULL', message)
      },
    })
    this.router.herd.subscribe((after, before, found) => {
      this.sides.follow(found)
      this.router.follow(after, before, found)
    })
    this.users = new Users({
      list: parts.list,
      query: (user) => this.#welcomes.secretOf(user, options.authQuery ?? ''),
      asks: () => options.authQuery !== null,
      now: () => clock.mono(),
      salting: parts.salting,
    })
    this.#clientParts = {
      clock,
      options,
      router: this.router,
      scopes: this.#scopes,
      plans: new Plans(this.router.routing.texts),
      library: new Library(MOST_TEXTS),
      rules: clientRules(options.maxPacketSize),
      sideOf: ({ node }: Attempt) => this.sides.of(node, this.router.herd.topology),
      cancel: (connection) => this.cancelOn(connection),
      wishesIn,
      scopeFor: (token, around) => this.#scopeFor(token, around),
      left: (id) => this.#left(id),
      paused: () => this.#pause.until,
    }
    this.#welcomes = new Welcomes(this.router, this.#clientParts, config)
    this.#console = new Console(this)
  }

  /** Users and TLS are for logins from now on. */
  reload(options: ProxyOptions, list: UsersParts['list'], tls: Tls | null): void {
    Object.assign(this.options, options)
    this.users.reload(list)
    this.#tls = tls
    for (const side of this.sides.all) side.adapt()
  }

  // What the console asks.

  #gone: Counted = { units: 0, received: 0, sent: 0 }
  readonly #pause = new Pause()

  counted(): Counted {
    return counted([this.#gone, ...[...this.clients.values()].map(({ counts }) => counts)])
  }

  get isPaused(): boolean {
    return this.#pause.until !== null
  }

  pause(): void {
    this.#pause.begin()
  }

  resume(): void {
    this.#pause.end()
  }

  get config(): Config {
    return this.parts.config
  }

  cancelOn(connection: ServerConnection): Promise<void> {
    const { ssl } = clientConfigFor(this.config, connection.node.address)
    return cancelOn(connection, ssl as Dialing['ssl'], this.options.cancelWaitTimeoutMillis, this.parts.clock)
  }

  #scopeFor(token: string | null, around: Scope | undefined): Scope | undefined {
    return this.#scopes.within(around, () =>
      this.router.causality.session(token, () => this.#scopes.current, { invalidToken: 'ignore' })
    )
  }

  // Clients.

  listen(host: string, port: number): Promise<net.AddressInfo> {
    const server = net.createServer({ pauseOnConnect: false }, (socket) => this.take(socket))
    this.#servers.add(server)
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, () => {
        // Looking at the servers begins before the first client is there.
        this.router.herd.open()
        resolve(server.address() as net.AddressInfo)
      })
    })
  }

  /** A connection that a client has opened. */
  take(socket: net.Socket): void {
    this.#doors.add(socket)
    socket.once('close', () => this.#doors.delete(socket))
    const { options } = this
    const { clock } = this.parts
    const tls = this.#tls
    new Door(socket, {
      clock,
      options,
      users: this.users,
      tls,
      refuses: (startup) => this.#refuses(startup),
      cancel: (pid, secret) => this.cancel(pid, secret),
      admit: (guest) => {
        void this.#admit(guest)
      },
    })
  }

  #refuses({ parameters }: Startup): Said | null {
    const { options } = this
    if (this.#isEnding) return { code: Code.cannotConnectNow, message: 'the proxy is shutting down' }
    const isConsole = (parameters.get('database') ?? parameters.get('user')) === CONSOLE
    if (!isConsole && this.clients.size >= shareOf(options.maxClientConn, this.parts.team?.worker ?? null))
      return {
        code: Code.tooMany,
        message: `sorry, too many clients already: max_client_conn is ${options.maxClientConn}`,
      }
    const values = startupSettings(parameters)
    if (values === null)
      return {
        code: Code.notSupported,
        message: 'the proxy takes -c name=value and --name=value in options, and nothing else',
      }
    const wrong = checkWishes(values)
    return wrong === null ? null : { code: '22023', message: wrong }
  }

  async #admit(guest: Guest): Promise<void> {
    const { socket, user, database, startup } = guest
    if (database === CONSOLE) return this.#console.admit(guest)
    const values = startupSettings(startup.parameters) ?? new Map<string, string>()
    let isGone = false
    const gone = () => {
      isGone = true
    }
    socket.once('close', gone)
    try {
      const told = await this.#welcomes.told(user, database, values)
      socket.removeListener('close', gone)
      if (isGone) return
      this.#enter(guest, told, values)
    } catch (error) {
      socket.end(
        errorResponse({ severity: 'FATAL', ...(error instanceof ServerError ? saidBy(error) : failureSaid(error)) })
      )
    }
  }

  #enter(guest: Guest, told: ReadonlyMap<string, string>, values: ReadonlyMap<string, string>): void {
    const { socket, startup, user, database } = guest
    const id = this.#ids.next()
    const pid = this.#pids.free()
    const secret = randomBytes(startup.minor >= NEWEST_MINOR ? 32 : 4)
    const welcome = [authentication(0), ...[...told].map(([name, value]) => parameterStatus(name, value))]
    this.logins++
    const identity = {
      id,
      user,
      database,
      address: guest.address,
      port: guest.port,
      isTls: guest.isTls,
      pid,
      secret,
      connectedAt: timeOfDay(),
      told,
      settings: asSettings(values),
      scope: this.#scopeFor(null, undefined),
      rest: guest.rest,
    }
    socket.write(Buffer.concat([...welcome, backendKeyData(pid, secret), ready('I')]))
    const client = new Client(socket, identity, this.#clientParts)
    // What came with its login may have been its end.
    if (client.isGone) return
    this.clients.set(id, client)
    this.#pids.add(client)
  }

  #left(id: number): void {
    const client = this.clients.get(id)
    if (client === undefined) return
    this.#gone = counted([this.#gone, client.counts])
    this.clients.delete(id)
    this.#pids.delete(client)
  }

  /** Resolves when the request was passed on, if it is one of a client's. */
  async cancel(pid: number, secret: Buffer): Promise<void> {
    if (this.#pids.isForeign(pid)) await this.parts.team?.cancel(pid, secret)
    else await this.#pids.clientOf(pid, secret)?.cancel()
  }

  // Its end.

  /** No new clients; those that there are go when they are between transactions. Resolves when all have gone. */
  async drain(millis: number): Promise<void> {
    this.#isEnding = true
    for (const server of this.#servers) server.close()
    const { clock } = this.parts
    const deadline = clock.mono() + millis
    const said = { code: Code.adminShutdown, message: 'the proxy is shutting down' }
    while (this.clients.size > 0 && clock.mono() < deadline) {
      for (const client of [...this.clients.values()]) {
        client.isEnding = true
        if (!client.isActive && !client.inTransaction) client.close(said)
      }
      if (this.clients.size > 0) await new Promise<void>((resolve) => clock.alarm(50, resolve, 'process'))
    }
  }

  async end(): Promise<void> {
    this.#isEnding = true
    for (const server of this.#servers) server.close()
    for (const client of [...this.clients.values()])
      client.close({ code: Code.adminShutdown, message: 'the proxy is shutting down' })
    for (const socket of this.#doors) socket.destroy()
    const { herd, telemetry } = this.router
    herd.finish()
    herd.end()
    this.sides.end('politely')
    herd.close()
    telemetry.end()
  }
}

function saidBy({ message, spoken }: ServerError): Said {
  return { code: spoken.code ?? Code.internal, message }
}
