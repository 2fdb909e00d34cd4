// The connection that belongs to a probe: logs in when a look needs it, is kept between looks, and is dropped after a failure.

import type { Client } from 'pg'
import type { NodeAddress } from '../core/cluster/address.js'
import { failureOf } from '../core/cluster/failure.js'
import type { Sighting } from '../core/cluster/sighting.js'
import { preparedIn } from '../core/session/neighbours.js'
import { propertyOf } from '../core/thrown.js'
import { loggedIn } from '../pg/login.js'
import { answered, answeredInside, answeredPrepared, type Row } from '../pg/own-query.js'
import { type Intake, sourceOf, tap } from '../pg/tap.js'
import { authRule, type RequiredAuth } from '../pg/weak-auth.js'
import { type Depth, OVERDUE, refuseOld, sightOn } from './probe-answers.js'

/** No answer to a question of a probe is nearly as long. */
const ANSWER_BYTES = 1 << 20

export function intakeOf(required: RequiredAuth | null, origin: NodeAddress['origin']): Intake {
  return { limitBytes: ANSWER_BYTES, refusesAuth: authRule(required, origin) }
}

interface Parameter {
  readonly parameterName?: string
  readonly parameterValue?: string
}

interface Internals {
  unref(): void
  /** As the server said at the login. */
  readonly processID?: number | null
  readonly connection?: {
    readonly stream?: { destroy(): void }
    on?(event: 'parameterStatus', listener: (told: Parameter) => void): void
  }
}

/** Members that pg has and its published types do not name. */
export function internals(client: Client): Internals {
  return client as unknown as Internals
}

export class ProbeConnection {
  readonly #makeClient: () => Client
  readonly #intake: Intake
  readonly #ended: () => void
  #client: Client | null = null
  /** The same client, once it is connected. */
  #ready: Client | null = null
  #login: Promise<Client> | null = null
  /** The role's default is SERIALIZABLE, which a standby refuses (0A000). A probe does not need it, and says so. */
  #serializable = false
  /** The connection leads to the server itself, so that a statement which is prepared in its session is still there later. */
  #direct = false
  /** Over this connection. */
  #before: Sighting | null = null

  /** `ended` is called when a connection ends that was ready, and that drop() has not ended. */
  constructor(makeClient: () => Client, intake: Intake, ended: () => void) {
    this.#makeClient = makeClient
    this.#intake = intake
    this.#ended = ended
  }

  /** There is a connection, or a login is under way. */
  get isOpen(): boolean {
    return this.#client !== null
  }

  /** The client that is logged in. */
  get ready(): Client | null {
    return this.#ready
  }

  /** The first look over a connection asks for everything. */
  async look(depth: Depth): Promise<Sighting> {
    const fresh = this.#ready === null
    const client = this.#ready ?? (await this.#connect())
    const sighting = await sightOn(client, fresh ? 'full' : depth, (on, text) => this.#rowsOf(on, text), this.#before)
    if (client === this.#ready) this.#before = sighting
    return sighting
  }

  drop(): void {
    const client = this.#client
    this.#ready = null
    this.#client = null
    this.#login = null
    this.#direct = false
    this.#before = null
    // Nothing may still happen here on a server that was given up. A plain close would do as well, as a probe writes nothing.
    if (client !== null) internals(client).connection?.stream?.destroy()
  }

  async #rowsOf(client: Client, text: string): Promise<readonly Row[]> {
    if (!this.#serializable) {
      try {
        return await this.#answered(client, text)
      } catch (error) {
        if (failureOf(error, 'handed', sourceOf(error, client, 0)).kind !== 'isolation') throw error
        this.#serializable = true
      }
    }
    const [rows = []] = await answeredInside(client, [], [text])
    return rows
  }

  /** Parsed and planned once in a session, a question costs its server half, and the longer one a quarter. */
  async #answered(client: Client, text: string): Promise<readonly Row[]> {
    if (!this.#direct) {
      const rows = await answered(client, text)
      if (client === this.#ready && rows[0]?.pid === String(internals(client).processID)) this.#direct = true
      return rows
    }
    try {
      return await answeredPrepared(client, text)
    } catch (error) {
      // So a pooler shares sessions, whatever pid it told.
      if (preparedIn(propertyOf(error, 'code')) === null) throw error
      this.#direct = false
      return answered(client, text)
    }
  }

  /** The next look shares a login that outlasts its own look. */
  #connect(): Promise<Client> {
    if (this.#login !== null) return this.#login
    const login: Promise<Client> = this.#loginAnew(() => this.#login === login).finally(() => {
      if (this.#login === login) this.#login = null
    })
    this.#login = login
    return login
  }

  async #loginAnew(isWanted: () => boolean): Promise<Client> {
    // The promise of this login is known from the next microtask on.
    await null
    let version: string | null = null
    const make = () => {
      if (!isWanted()) throw OVERDUE
      const client = this.#makeClient()
      tap(client, this, this.#intake)
      this.#client = client
      internals(client).connection?.on?.('parameterStatus', ({ parameterName, parameterValue = null }) => {
        if (parameterName === 'server_version') version = parameterValue
      })
      const gone = () => this.#gone(client)
      return client.on('error', gone).on('end', gone)
    }
    try {
      const client = await loggedIn(make)
      refuseOld(version)
      internals(client).unref()
      this.#ready = this.#client
      return client
    } catch (error) {
      // The probe has given up this login.
      throw isWanted() ? error : OVERDUE
    }
  }

  #gone(client: Client): void {
    if (this.#client !== client) return
    this.#client = null
    if (this.#ready !== client) return
    this.#ready = null
    this.#direct = false
    this.#before = null
    this.#ended()
  }
}
