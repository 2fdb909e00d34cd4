// When to look: one probe loop for each node, evidence on demand, and rest while no statement comes. A node that hangs delays its
// own loop only.

import type { NodeAddress, NodeKey } from '../core/cluster/address.js'
import { failureOf } from '../core/cluster/failure.js'
import { elapsed } from '../core/cluster/instant.js'
import { isUp, type Node } from '../core/cluster/node.js'
import type { Topology } from '../core/cluster/topology.js'
import type { Alarm, Clock } from '../runtime/clock.js'
import { PositionQuestions } from './positions.js'
import type { Probe } from './probe.js'
import { FAST_MILLIS, type LoopParts, ProbeLoop } from './probe-loop.js'
import type { Store } from './store.js'

/** Without a statement for this long the loops rest, and their connections close. */
const REST_MILLIS = 10_000
/** Evidence that reads ask for comes at most this often. */
const DEMAND_MILLIS = 2
/** Without readers, a position that covers an acknowledged write is taken after this time. */
const SAMPLE_MILLIS = 5
/** The same while writes go on: so often, however many there are. Each look wakes a process of the primary. */
const SAMPLES_MILLIS = 100
/** A read within this time says that more reads are to come. */
const READERS_MILLIS = 1000

export class Monitor {
  readonly #store: Store
  readonly #clock: Clock
  readonly #intervalMillis: number
  readonly #probeOf: (address: NodeAddress, interrupted: () => void) => Probe
  readonly #busy: () => boolean
  readonly #loops = new Map<NodeKey, ProbeLoop>()
  readonly #shared: LoopParts
  /** On the monotonic clock: a statement costs one look at it. */
  #touchedAt: number
  #resting = false
  #stopped = false
  /** Since when there is no trusted primary, on the monotonic clock; null: there is one. */
  #lostAt: number | null = null
  #demand: Alarm | 'running' | null = null
  #demandMillis = DEMAND_MILLIS
  #sample: Alarm | null = null
  /** When one was last taken so, on the monotonic clock. */
  #sampledAt = -Infinity
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
    this.#shared = {
      store,
      clock,
      intervalMillis,
      lostMillis: () => (this.#lostAt === null ? Infinity : clock.mono() - this.#lostAt),
      mayRest: () => !this.#busy() && clock.mono() - this.#touchedAt > REST_MILLIS,
      rests: () => {
        this.#resting = true
      },
    }
    this.positions = new PositionQuestions(store, clock, (key) => this.#loops.get(key)?.probe)
  }

  /** A read asks for a replica. */
  noteRead(now: number): void {
    this.#readAt = now
  }

  /** Callers read from replicas, and will ask for what is written now. */
  get hasReaders(): boolean {
    return this.#clock.mono() - this.#readAt < READERS_MILLIS
  }

  /** Starts a loop for every node that is to be looked at, and ends the loops of nodes that are gone. */
  follow(topology: Topology): void {
    // A connection may be lost behind the end.
    if (this.#stopped) return
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
    const looks = answering.map((loop) => loop.look())
    for (const loop of others) loop.resume()
    await Promise.all(looks)
    const last = primary === null ? undefined : this.#loops.get(primary)
    last?.resume()
  }

  /** Looks at this node now, or right after the look in progress. */
  wake(key: NodeKey): void {
    this.#loops.get(key)?.wake()
  }

  /** Another source than the servers says that something has changed. */
  wakeAll(): void {
    for (const loop of this.#loops.values()) loop.wake()
  }

  /** The primary is lost. A loop pauses for the time between two looks at a healthy primary, and the next may be there sooner. */
  hurry(): void {
    for (const loop of this.#loops.values()) loop.hasten()
  }

  /** A new connection was turned away. Only another new one can tell more: a server that stops answers on old ones for a while. */
  renew(key: NodeKey): void {
    this.#loops.get(key)?.renew()
    this.wake(key)
  }

  /** The pool needs the place that the probe has at a full server. False: it has none there. */
  yield(key: NodeKey): boolean {
    return this.#loops.get(key)?.probe.yield?.() ?? false
  }

  /**
   * A read found no proof: the primary is asked where it is, then the replicas. While no replica gets there the next round waits
   * longer, up to the interval of the loops. Writes that go on meanwhile are no reason to wait.
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
   * A write was acknowledged, and reads will ask for a position that covers it. Without readers one look soon is enough, for all
   * writes until then. Should the primary die, reads that must see those writes can go on from replicas that have them.
   */
  sample(): void {
    if (this.hasReaders) {
      this.positions.ask()
      return
    }
    if (this.#sample !== null) return
    const now = this.#clock.mono()
    const millis = Math.max(SAMPLE_MILLIS, this.#sampledAt + SAMPLES_MILLIS - now)
    this.#sample = this.#clock.alarm(millis, () => {
      this.#sample = null
      this.#sampledAt = this.#clock.mono()
      const { primary } = this.#store.topology
      if (primary !== null) this.wake(primary)
    })
  }

  stop(): void {
    this.#stopped = true
    this.#sample?.cancel()
    if (this.#demand !== null && this.#demand !== 'running') this.#demand.cancel()
    for (const loop of this.#loops.values()) this.#end(loop)
  }

  /** True: some replica has reached the position that the primary had at the beginning. */
  async #gather(): Promise<boolean> {
    const { primary } = this.#store.topology
    const first = primary === null ? undefined : this.#loops.get(primary)
    if (first !== undefined) await first.look()
    const replicas = [...this.#store.topology.nodes.values()].filter(({ state }) => state.kind === 'replica')
    const loops = replicas.map(({ key }) => this.#loops.get(key)).filter((loop) => loop !== undefined)
    // The fastest replica is enough to go on: a replica that hangs must not hold up the next round.
    await Promise.race([Promise.all(loops.map((loop) => loop.look())), this.#pauseOf(FAST_MILLIS)])
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
    const probe = this.#probeOf(node.address, () => this.wake(node.key))
    const loop = new ProbeLoop(node.key, probe, this.#shared)
    this.#loops.set(node.key, loop)
    void loop.run()
  }

  #end(loop: ProbeLoop): void {
    this.#loops.delete(loop.key)
    loop.stop()
  }
}
