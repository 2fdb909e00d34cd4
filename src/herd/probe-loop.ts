// The loop that looks at one node again and again: when the next look is due, how much it asks for, and how long it may take. It
// judges no answer: it dispatches what was seen.

import type { NodeKey } from '../core/cluster/address.js'
import { failureOf, isParting } from '../core/cluster/failure.js'
import { elapsed, type Instant } from '../core/cluster/instant.js'
import type { Node, ProbeResult } from '../core/cluster/node.js'
import type { Topology } from '../core/cluster/topology.js'
import { type Alarm, type Clock, jittered } from '../runtime/clock.js'
import type { Probe } from './probe.js'
import type { Depth } from './probe-answers.js'
import type { Store } from './store.js'

/** A look that is not answered within this time is reported as silence. */
const DEADLINE_MILLIS = 1000
const LEAST_DEADLINE_MILLIS = 10
/** Without a trusted primary every tick counts: statements are waiting. */
export const FAST_MILLIS = 50
/** In the first moments after the loss of a primary a promotion is likeliest, and waiters have only just begun to wait. */
const FASTEST_MILLIS = 25
const FASTEST_FOR_MILLIS = 2000
/** A node that was only found, and never answered, is asked less and less often. */
const SLOWEST_MILLIS = 30_000
/** What changes slowly is asked for this often, and whenever a decision hangs on it. */
const FULL_MILLIS = 3_000
/** A server that starts or stops makes a process for each login that it turns away, so it is asked less and less often, down to this. */
const STARTING_MILLIS = 250
/** Without a primary every address is dialed anew this often, ±20 %. */
const RENEW_MILLIS = 1000

/** What all loops of a monitor share. */
export interface LoopParts {
  readonly store: Store
  readonly clock: Clock
  readonly intervalMillis: number
  /** For how long there has been no trusted primary. Infinity: there is one. */
  readonly lostMillis: () => number
  /** No statement needs the loop now, so it may rest until the next one. */
  readonly mayRest: () => boolean
  /** Told when the loop begins to rest. */
  readonly rests: () => void
}

function isLate(since: Instant | null, now: Instant): boolean {
  return since !== null && elapsed(since, now) < FASTEST_FOR_MILLIS
}

export class ProbeLoop {
  readonly key: NodeKey
  readonly probe: Probe
  readonly #parts: LoopParts
  /** The look in progress, and the one that begins after it. Callers that ask during a look share the second. */
  #current: Promise<void> | null = null
  #next: Promise<void> | null = null
  /** Ends the pause between two looks. */
  #endPause: (() => void) | null = null
  /** The pause ends early. */
  #haste: Alarm | null = null
  #fullAt: Instant | null = null
  /** The next look goes over a new connection. */
  #renew = false
  #misses = 0
  #stopped = false
  /** Since when it has asked over one connection while there is no primary. */
  #orphanedAt: Instant | null = null
  #renewMillis = RENEW_MILLIS

  constructor(key: NodeKey, probe: Probe, parts: LoopParts) {
    this.key = key
    this.probe = probe
    this.#parts = parts
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      await this.look()
      if (this.#stopped) return
      if (this.#parts.mayRest()) await this.#rest()
      else await this.#pause(this.#interval())
    }
  }

  stop(): void {
    this.#stopped = true
    this.#haste?.cancel()
    this.probe.close()
    this.resume()
  }

  /** Looks now, or right after the look in progress. */
  look(): Promise<void> {
    if (this.#current === null) {
      this.#current = this.#lookNow().finally(() => {
        this.#current = null
      })
      return this.#current
    }
    this.#next ??= this.#current.then(() => {
      this.#next = null
      return this.look()
    })
    return this.#next
  }

  /** Ends the pause, if the loop pauses. */
  resume(): void {
    this.#endPause?.()
  }

  /** The pause ends within some milliseconds: all processes that use a server hear of its loss in the same moment. */
  hasten(): void {
    const end = this.#endPause
    if (end === null || this.#haste !== null) return
    const { clock } = this.#parts
    this.#haste = clock.alarm(FASTEST_MILLIS * clock.random(), () => {
      this.#haste = null
      if (this.#endPause === end) end()
    })
  }

  /** Looks now, or right after the look in progress; a pause ends. */
  wake(): void {
    if (this.#endPause === null) void this.look()
    else this.#endPause()
  }

  /** The next look goes over a new connection. */
  renew(): void {
    this.#renew = true
  }

  async #lookNow(): Promise<void> {
    if (this.#stopped) return
    const { store, clock } = this.#parts
    const startedAt = clock.now()
    const depth = this.#depth(startedAt)
    const result = await this.#asked(depth, startedAt)
    if (this.#stopped || result === null) return
    this.#misses = result.kind === 'answer' ? 0 : this.#misses + 1
    if (result.kind === 'answer' && result.sighting.detail !== null) this.#fullAt = startedAt
    store.dispatch({ kind: 'probed', key: this.key, startedAt, at: clock.now(), result })
  }

  /** A socket of the application's own (option `stream`) may throw where it is closed, and the loop must go on. */
  async #asked(depth: Depth, startedAt: Instant): Promise<ProbeResult | null> {
    const { plural, ended } = this.#parts.store.topology
    const way = plural || ended ? 'own' : 'sessions'
    try {
      if (this.#renew || this.#isOrphaned(startedAt)) this.probe.close()
      this.#renew = false
      return await this.probe.look(depth, this.#deadline(startedAt), way)
    } catch (error) {
      return { kind: 'failure', failure: failureOf(error, 'connect') }
    }
  }

  /** Without a primary an address may have moved to a new one, while the probe's own connection still leads to the old server. */
  #isOrphaned(now: Instant): boolean {
    if (this.#parts.store.topology.primary !== null) {
      this.#orphanedAt = null
      return false
    }
    // All processes lose their primary in the same moment.
    if (this.#orphanedAt === null) this.#renewMillis = jittered(RENEW_MILLIS, this.#parts.clock)
    this.#orphanedAt ??= now
    if (elapsed(this.#orphanedAt, now) < this.#renewMillis) return false
    this.#orphanedAt = now
    this.#renewMillis = jittered(RENEW_MILLIS, this.#parts.clock)
    return true
  }

  /** So short that several looks fit into silentMillis, and the last one ends with it. */
  #deadline(now: Instant): number {
    const { nodes, rules } = this.#parts.store.topology
    const missedAt = nodes.get(this.key)?.missedAt ?? null
    const left =
      missedAt === null ? Infinity : Math.max(LEAST_DEADLINE_MILLIS, rules.silentMillis - elapsed(missedAt, now))
    return Math.min(DEADLINE_MILLIS, rules.silentMillis / 3, left)
  }

  /** While no node claims to be the primary, the details of a server wait for what its lean answer shows: a promotion, another sender. */
  #depth(now: Instant): Depth {
    if (this.#wantsFull(now)) return 'full'
    return this.#parts.store.topology.primary === null ? 'changed' : 'lean'
  }

  /** Timelines, attached replicas and identity decide claims. So each look asks for all of it while a claim is open. */
  #wantsFull(now: Instant): boolean {
    const { topology } = this.#parts.store
    if (this.#fullAt === null || topology.epoch === 0 || elapsed(this.#fullAt, now) > FULL_MILLIS) return true
    const own = topology.primary === null ? undefined : topology.nodes.get(this.key)?.state
    if (own?.kind === 'replica' && !own.follows) return true
    // The checkpoints of a primary prove what a replica in doubt has replayed.
    return [...topology.nodes.values()].some(
      ({ state, lineage }) =>
        state.kind === 'claimant' || (own?.kind === 'primary' && state.kind === 'replica' && lineage.doubt !== null)
    )
  }

  #interval(): number {
    const { store, clock, intervalMillis } = this.#parts
    const { topology } = store
    const node = topology.nodes.get(this.key)
    if (node?.address.origin === 'discovered' && node.answeredAt === null) {
      return jittered(Math.min(SLOWEST_MILLIS, intervalMillis * 2 ** this.#misses), clock)
    }
    const primary = topology.primary === null ? undefined : topology.nodes.get(topology.primary)
    const urgent =
      primary === undefined || primary.suspect !== null || node?.suspect !== null || this.#isUnsettled(topology)
    const least = urgent ? this.#fastMillis : Infinity
    return jittered(Math.min(Math.max(least, this.#startingMillis(node)), intervalMillis), clock)
  }

  /** For how long a server is left alone that has just said that it starts or stops: a login there brings nothing but that. */
  #startingMillis(node: Node | undefined): number {
    const isStarting = node?.state.kind === 'down' && isParting(node.state.failure)
    return isStarting ? Math.min(STARTING_MILLIS, FASTEST_MILLIS * 2 ** this.#misses) : 0
  }

  /** A server has begun to claim lately, or a replica was connected lately whose proof waits for a look at the others. */
  #isUnsettled({ nodes, primary }: Topology): boolean {
    const now = this.#parts.clock.now()
    for (const { key, state, claimsSince, lineage } of nodes.values()) {
      if (state.kind === 'claimant' && key !== primary && isLate(claimsSince, now)) return true
      if (state.kind === 'replica' && lineage.pending.length > 0 && isLate(lineage.link?.since ?? null, now))
        return true
    }
    return false
  }

  get #fastMillis(): number {
    const { store, lostMillis } = this.#parts
    return lostMillis() < FASTEST_FOR_MILLIS && store.topology.epoch > 0 ? FASTEST_MILLIS : FAST_MILLIS
  }

  #pause(millis: number): Promise<void> {
    return new Promise((resolve) => {
      const over = () => {
        this.#endPause = null
        alarm.cancel()
        resolve()
      }
      const alarm = this.#parts.clock.alarm(millis, over)
      this.#endPause = over
    })
  }

  /** Until the next statement. */
  #rest(): Promise<void> {
    this.#parts.rests()
    this.probe.close()
    return new Promise((resolve) => {
      this.#endPause = () => {
        this.#endPause = null
        resolve()
      }
    })
  }
}
