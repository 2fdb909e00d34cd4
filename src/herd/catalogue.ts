// What the database itself says of names, read in the background: once a replica can answer, again after a while, and when
// something suggests that it is outdated. Decides when and where to read. What the rows mean is core/sql/definitions.ts.

import type { Config } from '../config/config.js'
import { isLookedAround } from '../core/cluster/alone.js'
import { failureOf } from '../core/cluster/failure.js'
import type { Required } from '../core/cluster/horizon.js'
import { parseLsn } from '../core/cluster/lsn.js'
import type { Node } from '../core/cluster/node.js'
import { type Choice, onlyNode, type Target } from '../core/cluster/selection.js'
import type { Topology } from '../core/cluster/topology.js'
import { type DefinitionRow, type Definitions, define, doubted, UNREAD, unreadable } from '../core/sql/definitions.js'
import type { Alarm, Clock } from '../runtime/clock.js'
import { CATALOGUE, POSITION } from './catalogue-sql.js'
import type { Question } from './question.js'
import { trustedPrimary } from './readiness.js'

/** Definitions that are made elsewhere, or inside a DO, are noticed this late. */
const REFRESH_MILLIS = 60_000
/**
 * Between two readings there is at least this pause, and ten times as long as the last one took. It doubles after each doubt that
 * came to nothing, and after each failure. Behind a change it does not double, since reads wait for that on the primary.
 */
const PAUSE_MILLIS = 250
/** For this time the statements that have waited for the first look have the primary to themselves. */
const YIELD_MILLIS = 10
const MOST_DOUBLINGS = 8
const MOST_RETRY_MILLIS = 8_000
const DEADLINE_MILLIS = 10_000
/** After so many failures reads go on without it. */
const MOST_FAILURES = 3
/** Failures that no waiting cures: no right to read it, or servers that have no such catalogue. */
const FINAL: ReadonlySet<string | null> = new Set(['42501', '42P01', '42703', '42883'])
const DEFAULT_LAG_MILLIS = 1000

/** What a read of this pool needs of a replica, which is where the catalogue is asked for. Null: no read goes to a replica. */
export function readingTarget(topology: Topology, config: Config, since: number | null): Target | null {
  const { attributes, maxLagMillis, maxLagBytes, maxStaleMillis } = config
  if (attributes !== 'any') return null
  // The pool has started without a primary. Nothing can be proven, and reads that ask for no proof are served all the same.
  const orphaned = topology.epoch === 0 && isLookedAround(topology)
  // No replica keeps a bound of 0, but single statements may have other bounds.
  const bound = orphaned ? Infinity : maxLagMillis || DEFAULT_LAG_MILLIS
  const need = { maxLagMillis: bound, since, asynchronous: true }
  return { role: 'replica', need, maxLagBytes, maxStaleMillis, otherwise: 'refuse', alone: 'serve' }
}

/**
 * Until the catalogue is read all reads go to the primary. So the first attempt is made there, as soon as the primary has answered.
 * Afterwards replicas are asked. With one server there are none.
 */
export function readingNode(topology: Topology, isFirst: boolean): Node | null {
  if (topology.plural) return isFirst ? trustedPrimary(topology) : null
  const only = onlyNode(topology, new Set())
  return only === undefined || only.seen === null ? null : only
}

export interface CatalogueParts {
  readonly clock: Clock
  readonly ask: Question
  readonly choose: (target: Target) => Choice
  /** It cannot be read, and why. */
  readonly unreadable: (message: string) => void
  /** A reading is over: statements that wait for what it says are asked again. */
  readonly news: () => void
  /** What a read of the pool needs of a replica, with T as given. Null: no read goes to one. */
  readonly target: (since: number | null) => Target | null
  /** Where it is read if no replica may answer: the primary has all that replicas will have. Null: a replica is waited for. */
  readonly instead: (isFirst: boolean) => Node | null
}

export class Catalogue {
  readonly #parts: CatalogueParts
  readonly #stopped = new AbortController()
  #arrive: () => void = () => {}
  /** Resolves when the first attempt is over, and when there will be none. */
  readonly #arrived = new Promise<void>((resolve) => {
    this.#arrive = resolve
  })
  #definitions = UNREAD
  #answer = ''
  #due = true
  /** Definitions changed at this time, on the monotonic clock: what was read before does not count. */
  #changedAt: number | null = null
  #reading = false
  #failures = 0
  /** How often in a row nothing had changed. */
  #fruitless = 0
  #readAt = -Infinity
  #tookMillis = 0
  #staleAt = Infinity
  /** When it may be read on another node than a replica, on the monotonic clock. */
  #insteadAt: number | null = null

  constructor(parts: CatalogueParts) {
    this.#parts = parts
  }

  get definitions(): Definitions {
    return this.#definitions
  }

  /** It was read since the last change that is known of, or cannot be read at all. Until then it is unknown what a name hides. */
  get current(): boolean {
    return this.#definitions !== UNREAD && this.#changedAt === null
  }

  /** What it says will be known before long. */
  get reading(): boolean {
    return this.#reading
  }

  /** A statement failed as if a name meant something else than is written here. */
  doubt(): void {
    this.#due = true
  }

  /** Definitions were changed through this pool; the change is acknowledged. */
  changed(): void {
    this.#changedAt = this.#parts.clock.mono()
    this.#due = true
    this.#definitions = doubted(this.#definitions)
  }

  /** Called for every change of the picture: the replicas that may answer come and go with it. */
  follow(): void {
    const now = this.#parts.clock.mono()
    if (now > this.#staleAt) {
      this.#due = true
      this.#fruitless = 0
    }
    if (!this.#due || this.#reading || now < this.#readAt + this.#pause() || this.#stopped.signal.aborted) return
    const target = this.#parts.target(this.#changedAt)
    if (target === null) return
    const choice = this.#parts.choose(target)
    if (choice.node !== null && choice.node.state.kind === 'replica') {
      void this.#read(choice.node, choice.required)
      return
    }
    const instead = this.#parts.instead(this.#definitions === UNREAD && this.#failures === 0)
    if (instead === null) return
    // The statements that have waited for this node go first.
    this.#insteadAt ??= now + YIELD_MILLIS
    if (now >= this.#insteadAt) void this.#read(instead, null)
    else this.#parts.clock.alarm(this.#insteadAt - now, () => this.follow())
  }

  stop(): void {
    this.#stopped.abort()
    this.#arrive()
  }

  /** The first attempt to read it is over within this time. False: it is not. */
  async arrivesWithin(millis: number): Promise<boolean> {
    let alarm: Alarm | undefined
    const late = new Promise<boolean>((resolve) => {
      alarm = this.#parts.clock.alarm(millis, () => resolve(false), 'process')
    })
    const arrived = await Promise.race([this.#arrived.then(() => true), late])
    alarm?.cancel()
    return arrived
  }

  async #read(node: Node, required: Required | null): Promise<void> {
    const { clock, ask } = this.#parts
    const startedAt = clock.mono()
    const changedAt = this.#changedAt
    this.#reading = true
    this.#due = false
    try {
      const [[position] = [], rows = []] = await ask(
        node.address,
        [POSITION, CATALOGUE],
        DEADLINE_MILLIS,
        this.#stopped.signal
      )
      const replayed = parseLsn(position?.position)
      // A new connection may lead to a server that has gone back since its position was seen.
      if (required !== null && (replayed === null || replayed < required.lsn)) throw new Error('the replica went back')
      this.#accept(rows as unknown as readonly DefinitionRow[], changedAt)
    } catch (error) {
      this.#refuse(error)
    } finally {
      this.#reading = false
      const now = clock.mono()
      this.#readAt = now
      this.#tookMillis = now - startedAt
      this.#staleAt = now + REFRESH_MILLIS * (0.8 + 0.4 * clock.random())
      this.#parts.news()
    }
  }

  #pause(): number {
    const doublings = this.#changedAt === null ? this.#fruitless + this.#failures : this.#failures
    const least = PAUSE_MILLIS * 2 ** Math.min(doublings, MOST_DOUBLINGS)
    // A reading that failed may have taken long because it waited for a lock, so its time is no measure.
    return this.#failures > 0 ? Math.min(least, MOST_RETRY_MILLIS) : Math.max(least, 10 * this.#tookMillis)
  }

  /** The same answer as before leaves everything as it is, with all that was learned since. */
  #accept(rows: readonly DefinitionRow[], changedAt: number | null): void {
    const answer = JSON.stringify(rows)
    this.#failures = 0
    const meanwhile = this.#changedAt !== changedAt
    if (!meanwhile) this.#changedAt = null
    this.#fruitless = answer === this.#answer ? this.#fruitless + 1 : 0
    if (answer !== this.#answer || changedAt !== null) this.#definitions = define(rows)
    if (meanwhile) this.#definitions = doubted(this.#definitions)
    this.#answer = answer
    this.#arrive()
  }

  #refuse(error: unknown): void {
    if (this.#stopped.signal.aborted) return
    this.#due = true
    this.#failures++
    const { code, message } = failureOf(error, 'connect')
    const final = FINAL.has(code)
    // It was read before, so it can be read again: perhaps a migration locks its views, or a server is gone. Reads can wait for
    // that on the primary.
    if (!final && (this.#answer !== '' || this.#failures < MOST_FAILURES)) return
    this.#changedAt = null
    this.#answer = ''
    this.#parts.unreadable(message)
    this.#definitions = unreadable(message)
    this.#arrive()
  }
}
