// The connections of one user and database to one node in one generation: generic-pool makes and keeps them, and what waits for one
// waits here, in the order in which it came. A `create` of generic-pool never rejects: a failure is a value that its waiter destroys.

import genericPool from 'generic-pool'
import type { Source } from '../../core/cluster/failure.js'
import type { Alarm, Clock } from '../../runtime/clock.js'
import type { ServerConnection } from './connection.js'
import { DialError } from './dial.js'

/** A connection that could not be had. */
class Failed {
  readonly error: unknown
  readonly source: Source

  constructor(error: unknown, source: Source) {
    this.error = error
    this.source = source
  }
}

type Made = ServerConnection | Failed

/** What wants a connection. */
export interface Waiter {
  readonly resolve: (connection: ServerConnection) => void
  readonly reject: (error: unknown, source: Source) => void
  /** On the monotonic clock. */
  readonly since: number
  /** It wants none any more. */
  isGone: boolean
}

export interface LendingParts {
  readonly clock: Clock
  readonly idleMillis: number
  /** As they are now: they may change. */
  limits(): Limits
  /** Resolves with a connection that is ready and has said which server it leads to. Rejects with a DialError. */
  open(): Promise<ServerConnection>
  tooLate(waiting: number): Error
}

export interface Limits {
  readonly size: number
  readonly lifetimeMillis: number
  /** 0: for ever. */
  readonly waitMillis: number
}

const EVICT_MILLIS = 5000
/** Of generic-pool's own, which cannot be changed: what is lent and asked for is never more than the size that counts. */
const MOST = 100_000
/** A server that is full is asked again for one more after this time. */
const FULL_MILLIS = 1000

export class Lending {
  readonly #parts: LendingParts
  readonly #pool: genericPool.Pool<Made>
  readonly #waiting: Waiter[] = []
  readonly all = new Set<ServerConnection>()
  readonly #lent = new Set<ServerConnection>()
  #out = 0
  /** A server that is full takes no more than this. */
  #most = Infinity
  #alarm: Alarm | null = null
  #over: { readonly error: unknown; readonly source: Source } | null = null

  constructor(parts: LendingParts) {
    this.#parts = parts
    this.#pool = genericPool.createPool<Made>(
      {
        create: () => this.#create(),
        destroy: async (made) => {
          if (made instanceof Failed) return
          this.all.delete(made)
          made.end('politely')
        },
        // One that failed is taken by its waiter, which hears why; refused here another would be made at once, for ever.
        validate: async (made) => made instanceof Failed || !made.isDead,
      },
      {
        max: MOST,
        min: 0,
        fifo: false,
        testOnBorrow: true,
        idleTimeoutMillis: parts.idleMillis,
        evictionRunIntervalMillis: EVICT_MILLIS,
        numTestsPerEvictionRun: MOST,
        autostart: true,
      }
    )
  }

  get waiting(): number {
    return this.#waiting.length
  }

  get used(): number {
    return this.#lent.size
  }

  get idle(): number {
    let idle = 0
    for (const connection of this.all) if (!connection.isDead && !this.#lent.has(connection)) idle++
    return idle
  }

  get #size(): number {
    return Math.min(this.#most, this.#parts.limits().size)
  }

  get isFree(): boolean {
    return this.#out < this.#size && this.#waiting.length === 0
  }

  isLent(connection: ServerConnection): boolean {
    return this.#lent.has(connection)
  }

  /** How long the oldest waiter has waited, in milliseconds. */
  get waitedMillis(): number {
    const [first] = this.#waiting
    return first === undefined ? 0 : this.#parts.clock.mono() - first.since
  }

  async #create(): Promise<Made> {
    try {
      const connection = await this.#parts.open()
      this.all.add(connection)
      return connection
    } catch (error) {
      return error instanceof DialError ? new Failed(error.error, error.source) : new Failed(error, 'pgherd')
    }
  }

  acquire(waiter: Waiter): void {
    if (this.#over !== null) {
      waiter.reject(this.#over.error, this.#over.source)
      return
    }
    this.#waiting.push(waiter)
    this.#serve()
    if (this.#waiting.length > 0) this.#watch()
  }

  #serve(): void {
    while (this.#out < this.#size && this.#over === null) {
      const waiter = this.#waiting.shift()
      if (waiter === undefined) return
      if (waiter.isGone) continue
      this.#out++
      void this.#pool.acquire().then((made) => this.#give(made, waiter))
    }
  }

  #give(made: Made, waiter: Waiter): void {
    if (made instanceof Failed) {
      this.#out--
      void this.#pool.destroy(made)
      const isFull = typeof made.source === 'object' && made.source.code === '53300'
      if (isFull && this.#out > 0 && this.#over === null && !waiter.isGone) {
        // Those that there are will come back.
        this.#most = this.#out
        this.#parts.clock.alarm(FULL_MILLIS, () => {
          this.#most = Infinity
          this.#serve()
        })
        this.#waiting.unshift(waiter)
        this.#watch()
      } else waiter.reject(made.error, made.source)
      this.#serve()
      return
    }
    this.#lent.add(made)
    if (this.#over !== null) {
      this.giveBack(made)
      waiter.reject(this.#over.error, this.#over.source)
    } else if (waiter.isGone) this.giveBack(made)
    else waiter.resolve(made)
  }

  giveBack(connection: ServerConnection): void {
    if (!this.#lent.delete(connection)) return
    this.#out--
    const { size, lifetimeMillis } = this.#parts.limits()
    const isOld = this.#parts.clock.mono() - connection.openedAt > lifetimeMillis
    const isSpare = this.all.size > size && this.#living > size
    if (connection.isDead || connection.isOutdated || isOld || isSpare || this.#over !== null)
      void this.#pool.destroy(connection)
    else void this.#pool.release(connection)
    this.#serve()
  }

  /** One alarm for all that wait. */
  #watch(): void {
    const [first] = this.#waiting
    if (this.#alarm !== null || first === undefined) return
    const { clock } = this.#parts
    const { waitMillis } = this.#parts.limits()
    if (waitMillis === 0) return
    this.#alarm = clock.alarm(Math.max(10, first.since + waitMillis - clock.mono()), () => {
      this.#alarm = null
      const now = clock.mono()
      const millis = this.#parts.limits().waitMillis || Infinity
      while (this.#waiting[0] !== undefined && (this.#waiting[0].isGone || now - this.#waiting[0].since >= millis)) {
        const late = this.#waiting.shift()
        if (late?.isGone === false) late.reject(this.#parts.tooLate(this.#waiting.length + 1), 'unproven')
      }
      this.#watch()
    })
  }

  /** No more connections, and none of those that there are. What waits is told so. */
  end(error: unknown, source: Source, how: 'politely' | 'reset'): void {
    if (this.#over === null) {
      this.#over = { error, source }
      this.#alarm?.cancel()
      for (const waiter of this.#waiting.splice(0)) if (!waiter.isGone) waiter.reject(error, source)
      // The evictor of a pool that is drained stops; what it waits for comes back in its time.
      void this.#pool.drain().catch(() => {})
    }
    for (const connection of this.all) {
      if (how === 'reset' || !this.#lent.has(connection)) connection.end(how)
    }
  }

  get #living(): number {
    let living = 0
    for (const connection of this.all) if (!connection.isDead) living++
    return living
  }

  /** The limits have changed. */
  adapt(): void {
    let spare = this.#living - this.#size
    for (const connection of this.all) {
      if (spare <= 0) break
      if (connection.isDead || this.#lent.has(connection)) continue
      connection.end('politely')
      spare--
    }
    this.#serve()
  }

  /** New connections for old ones, as these come back. */
  reconnect(): void {
    for (const connection of this.all) {
      if (!this.#lent.has(connection)) connection.end('politely')
      else connection.isOutdated = true
    }
  }
}
