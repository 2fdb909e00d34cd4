// When to look: one probe loop per node, evidence on demand, rest when nobody asks. Never judges an answer: it dispatches
// what was seen. A node that hangs delays its own loop only.

import type { NodeAddress, NodeKey } from '../core/cluster/address.js'
import { failureOf } from '../core/cluster/failure.js'
import { elapsed, type Instant } from '../core/cluster/instant.js'
import { isUp, type Node, type ProbeResult } from '../core/cluster/node.js'
import type { Topology } from '../core/cluster/topology.js'
import { type Alarm, type Clock, jittered } from '../runtime/clock.js'
import { PositionQuestions } from './positions.js'
import type { Probe } from './probe.js'
import type { Store } from './store.js'

/** A look that is not answered within this time is reported as silence. */
const DEADLINE_MILLIS = 1000
const LEAST_DEADLINE_MILLIS = 10
/** Without a trusted primary every tick counts: statements are waiting. */
const FAST_MILLIS = 50
/** In the first moments after that a promotion is likeliest, and who waits has only just begun. */
const FASTEST_MILLIS = 25
const FASTEST_FOR_MILLIS = 2000
/** A node that was only found, and never answered, is asked less and less often. */
const SLOWEST_MILLIS = 30_000
/** What changes slowly is asked for this often, and whenever a decision hangs on it. */
const FULL_MILLIS = 3_000
/** No statement for this long: the loops rest and their connections close. */
const REST_MILLIS = 10_000
/** Without a primary every address is dialed anew this often. */
const RENEW_MILLIS = 1000
/** Evidence asked for by reads comes at most this often. */
const DEMAND_MILLIS = 2
/** While nobody reads, a position that covers the newest acknowledged write is taken within this time, however many writes there are. */
const SAMPLE_MILLIS = 5
/** A read so long ago says that more reads are to come. */
const READERS_MILLIS = 1000

interface Loop {
  readonly key: NodeKey
  readonly probe: Probe
  /** The look in progress, and the one that begins after it: whoever asks during a look shares that one. */
  current: Promise<void> | null
  next: Promise<void> | null
  /** Ends the pause between two looks. */
  resume: (() => void) | null
  fullAt: Instant | null
  /** The next look goes over a new connection. */
  renew: boolean
  misses: number
  stopped: boolean
  /** Since when it has asked over one connection while there is no primary. */
  orphanedAt: Instant | null
}

function isLate(since: Instant | null, now: Instant): boolean {
  return since !== null && elapsed(since, now) < FASTEST_FOR_MILLIS
}

export class Monitor {
  readonly #store: Store
  readonly #clock: Clock
  readonly #intervalMillis: number
  readonly #probeOf: (address: NodeAddress, interrupted: () => void) => Probe
  readonly #busy: () => boolean
  readonly #loops = new Map<NodeKey, Loop>()
  /** On the monotonic clock: a statement costs one look at it. */
  #touchedAt: number
  #resting = false
  /** Since when there is no trusted primary, on the monotonic clock; null: there is one. */
  #lostAt: number | null = null
  #demand: Alarm | 'running' | null = null
  #demandMillis = DEMAND_MILLIS
  #sample: Alarm | null = null
  /** On the monotonic clock: when a read last asked for a replica. */
  #readAt = -Infinity
  readonly positions: PositionQuestions

  constructor(
    store: Store,
    clock: Clock,
    intervalMillis: number,
    probeOf: (address: NodeAddress, interrupted: () => void) => Probe,
    busy: () => boolean
  ) {
    this.#store = store
    this.#clock = clock
    this.#intervalMillis = intervalMillis
    this.#probeOf = probeOf
    this.#busy = busy
    this.#touchedAt = clock.mono()
    this.positions = new PositionQuestions(store, clock, (key) => this.#loops.get(key)?.probe)
  }

  /** A read asks for a replica. */
  noteRead(now: number): void {
    this.#readAt = now
  }

  /** Somebody reads from replicas, and will ask for what is written now. */
  get hasReaders(): boolean {
    return this.#clock.mono() - this.#readAt < READERS_MILLIS
  }

  /** Starts a loop for every node that is to be looked at, ends those of nodes that are gone. */
  follow(topology: Topology): void {
    const primary = topology.primary === null ? undefined : topology.nodes.get(topology.primary)
    if (primary !== undefined && primary.suspect === null) this.#lostAt = null
    else this.#lostAt ??= this.#clock.mono()
    for (const [key, loop] of this.#loops) if (!topology.nodes.has(key)) this.#end(loop)
    for (const node of topology.nodes.values()) {
      if (node.address.origin !== 'shown' && !this.#loops.has(node.key)) this.#begin(node)
    }
  }

  get resting(): boolean {
    return this.#resting
  }

  /**
   * A statement came. After a rest nothing is known for sure: the primary has to answer before it is trusted again.
   * True: this ended a rest.
   */
  touch(now: number): boolean {
    this.#touchedAt = now
    if (!this.#resting) return false
    this.#resting = false
    const { primary, nodes } = this.#store.topology
    const node = primary === null ? undefined : nodes.get(primary)
    if (node !== undefined) {
      const failure = failureOf(new Error('not looked at since the last statement'), 'connect')
      this.#store.dispatch({
        kind: 'accused',
        key: node.key,
        generation: node.generation,
        failure,
        at: this.#clock.now(),
      })
    }
    void this.#resume(primary)
    return true
  }

  /** The primary is asked last, so that a newer one has spoken before the old one is trusted again. */
  async #resume(primary: NodeKey | null): Promise<void> {
    const { nodes } = this.#store.topology
    const others = [...this.#loops.values()].filter(({ key }) => key !== primary)
    const answering = others.filter(({ key }) => {
      const node = nodes.get(key)
      return node !== undefined && isUp(node)
    })
    const looks = answering.map((loop) => this.#look(loop))
    for (const loop of others) loop.resume?.()
    await Promise.all(looks)
    const last = primary === null ? undefined : this.#loops.get(primary)
    last?.resume?.()
  }

  /** Looks at this node now, or right after the look in progress. */
  wake(key: NodeKey): void {
    const loop = this.#loops.get(key)
    if (loop === undefined) return
    if (loop.resume === null) void this.#look(loop)
    else loop.resume()
  }

  /** The primary is lost. Whoever pauses does so for the time between two looks at a healthy one: the next may be there sooner. */
  hurry(): void {
    for (const loop of this.#loops.values()) loop.resume?.()
  }

  /**
   * A new connection was turned away, so only another new one can tell: a server that stops answers on old ones for a while.
   */
  renew(key: NodeKey): void {
    const loop = this.#loops.get(key)
    if (loop !== undefined) loop.renew = true
    this.wake(key)
  }

  /** The pool needs the place that the probe has at a full server. False: it has none there. */
  yield(key: NodeKey): boolean {
    return this.#loops.get(key)?.probe.yield?.() ?? false
  }

  /**
   * A read found no proof: ask the primary where it is, then the replicas. While no replica gets there the next round waits
   * longer, up to the interval of the loops; writes that go on meanwhile are no reason to wait.
   */
  demand(): void {
    if (this.#demand !== null) return
    this.#demand = 'running'
    const startedAt = this.#clock.now()
    void this.#gather().then((caughtUp) => {
      this.#demandMillis = caughtUp ? DEMAND_MILLIS : Math.min(this.#demandMillis * 2, this.#intervalMillis)
      const rest = this.#demandMillis - elapsed(startedAt, this.#clock.now())
      const free = () => {
        this.#demand = null
      }
      if (rest > 0) this.#demand = this.#clock.alarm(rest, free)
      else free()
    })
  }

  /**
   * A write was acknowledged: reads will ask for a position that covers it. With nobody reading one look soon is enough, for
   * all writes until then: should the primary die, reads that must see those writes can go on from replicas that have them.
   */
  sample(): void {
    if (this.hasReaders) {
      this.positions.ask()
      return
    }
    this.#sample ??= this.#clock.alarm(SAMPLE_MILLIS, () => {
      this.#sample = null
      const { primary } = this.#store.topology
      if (primary !== null) this.wake(primary)
    })
  }

  stop(): void {
    this.#sample?.cancel()
    if (this.#demand !== null && this.#demand !== 'running') this.#demand.cancel()
    for (const loop of this.#loops.values()) this.#end(loop)
  }

  /** True: some replica has reached the position that the primary had at the beginning. */
  async #gather(): Promise<boolean> {
    const { primary } = this.#store.topology
    const first = primary === null ? undefined : this.#loops.get(primary)
    if (first !== undefined) await this.#look(first)
    const replicas = [...this.#store.topology.nodes.values()].filter(({ state }) => state.kind === 'replica')
    const loops = replicas.map(({ key }) => this.#loops.get(key)).filter((loop) => loop !== undefined)
    // The fastest replica is enough to go on: one that hangs must not hold up the next round.
    await Promise.race([Promise.all(loops.map((loop) => this.#look(loop))), this.#pauseOf(FAST_MILLIS)])
    const { nodes, wal } = this.#store.topology
    const goal = wal.samples.at(-1)?.flush
    const reached = ({ state }: Node) =>
      state.kind === 'replica' && goal !== undefined && state.position !== null && state.position.lsn >= goal
    return [...nodes.values()].some(reached)
  }

  #pauseOf(millis: number): Promise<void> {
    return new Promise((resolve) => this.#clock.alarm(millis, resolve))
  }

  #begin(node: Node): void {
    const loop: Loop = {
      key: node.key,
      probe: this.#probeOf(node.address, () => this.wake(node.key)),
      current: null,
      next: null,
      resume: null,
      fullAt: null,
      renew: false,
      misses: 0,
      stopped: false,
      orphanedAt: null,
    }
    this.#loops.set(node.key, loop)
    void this.#run(loop)
  }

  #end(loop: Loop): void {
    loop.stopped = true
    this.#loops.delete(loop.key)
    loop.probe.close()
    loop.resume?.()
  }

  async #run(loop: Loop): Promise<void> {
    while (!loop.stopped) {
      await this.#look(loop)
      if (loop.stopped) return
      if (this.#mayRest()) await this.#rest(loop)
      else await this.#pause(loop, this.#intervalOf(loop))
    }
  }

  #look(loop: Loop): Promise<void> {
    if (loop.current === null) {
      loop.current = this.#lookNow(loop).finally(() => {
        loop.current = null
      })
      return loop.current
    }
    loop.next ??= loop.current.then(() => {
      loop.next = null
      return this.#look(loop)
    })
    return loop.next
  }

  async #lookNow(loop: Loop): Promise<void> {
    if (loop.stopped) return
    const startedAt = this.#clock.now()
    const depth = this.#wantsFull(loop, startedAt) ? 'full' : 'lean'
    const result = await this.#asked(loop, depth, startedAt)
    if (loop.stopped || result === null) return
    loop.misses = result.kind === 'answer' ? 0 : loop.misses + 1
    if (result.kind === 'answer' && result.sighting.detail !== null) loop.fullAt = startedAt
    this.#store.dispatch({ kind: 'probed', key: loop.key, startedAt, at: this.#clock.now(), result })
  }

  /** A socket of the application's own (option `stream`) may throw where it is closed: the loop must go on. */
  async #asked(loop: Loop, depth: 'lean' | 'full', startedAt: Instant): Promise<ProbeResult | null> {
    const { plural, ended } = this.#store.topology
    const way = plural || ended ? 'own' : 'sessions'
    try {
      if (loop.renew || this.#isOrphanedFor(loop, startedAt)) loop.probe.close()
      loop.renew = false
      return await loop.probe.look(depth, this.#deadlineOf(loop, startedAt), way)
    } catch (error) {
      return { kind: 'failure', failure: failureOf(error, 'connect') }
    }
  }

  /** Without a primary an address may have been moved to one, while the probe's own connection still leads to the old server. */
  #isOrphanedFor(loop: Loop, now: Instant): boolean {
    if (this.#store.topology.primary !== null) {
      loop.orphanedAt = null
      return false
    }
    loop.orphanedAt ??= now
    if (elapsed(loop.orphanedAt, now) < RENEW_MILLIS) return false
    loop.orphanedAt = now
    return true
  }

  /** So short that several looks fit into silentMillis, and the last one ends with it. */
  #deadlineOf(loop: Loop, now: Instant): number {
    const { nodes, rules } = this.#store.topology
    const missedAt = nodes.get(loop.key)?.missedAt ?? null
    const left =
      missedAt === null ? Infinity : Math.max(LEAST_DEADLINE_MILLIS, rules.silentMillis - elapsed(missedAt, now))
    return Math.min(DEADLINE_MILLIS, rules.silentMillis / 3, left)
  }

  /** Timelines, replicas attached and identity decide claims: while a claim is open, each look asks for all of it. */
  #wantsFull(loop: Loop, now: Instant): boolean {
    const { topology } = this.#store
    if (loop.fullAt === null || topology.primary === null || elapsed(loop.fullAt, now) > FULL_MILLIS) return true
    const own = topology.nodes.get(loop.key)?.state
    if (own?.kind === 'replica' && !own.follows) return true
    // Its checkpoints prove what a replica in doubt has replayed.
    return [...topology.nodes.values()].some(
      ({ state, lineage }) =>
        state.kind === 'claimant' || (own?.kind === 'primary' && state.kind === 'replica' && lineage.doubt !== null)
    )
  }

  #intervalOf(loop: Loop): number {
    const { topology } = this.#store
    const node = topology.nodes.get(loop.key)
    if (node?.address.origin === 'discovered' && node.answeredAt === null) {
      return jittered(Math.min(SLOWEST_MILLIS, this.#intervalMillis * 2 ** loop.misses), this.#clock)
    }
    const primary = topology.primary === null ? undefined : topology.nodes.get(topology.primary)
    const urgent =
      primary === undefined || primary.suspect !== null || node?.suspect !== null || this.#isUnsettled(topology)
    const least = urgent ? this.#fastMillis : Infinity
    return jittered(Math.min(least, this.#intervalMillis), this.#clock)
  }

  /** A server claims lately, or a replica was connected lately whose proof waits for a look at the others. */
  #isUnsettled({ nodes, primary }: Topology): boolean {
    const now = this.#clock.now()
    for (const { key, state, claimsSince, lineage } of nodes.values()) {
      if (state.kind === 'claimant' && key !== primary && isLate(claimsSince, now)) return true
      if (state.kind === 'replica' && lineage.pending.length > 0 && isLate(lineage.link?.since ?? null, now))
        return true
    }
    return false
  }

  get #fastMillis(): number {
    const lost = this.#lostAt === null ? Infinity : this.#clock.mono() - this.#lostAt
    return lost < FASTEST_FOR_MILLIS && this.#store.topology.epoch > 0 ? FASTEST_MILLIS : FAST_MILLIS
  }

  #pause(loop: Loop, millis: number): Promise<void> {
    return new Promise((resolve) => {
      const over = () => {
        loop.resume = null
        alarm.cancel()
        resolve()
      }
      const alarm = this.#clock.alarm(millis, over)
      loop.resume = over
    })
  }

  #mayRest(): boolean {
    return !this.#busy() && this.#clock.mono() - this.#touchedAt > REST_MILLIS
  }

  /** Until the next statement. */
  #rest(loop: Loop): Promise<void> {
    this.#resting = true
    loop.probe.close()
    return new Promise((resolve) => {
      loop.resume = () => {
        loop.resume = null
        resolve()
      }
    })
  }
}
