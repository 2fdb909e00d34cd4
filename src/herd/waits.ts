// Waits that send no statement: for nodes, for a position, for the catalogue, for the addresses of a host.

import type { Config } from '../config/config.js'
import { keyOf, type NodeKey } from '../core/cluster/address.js'
import { aloneOf } from '../core/cluster/alone.js'
import { positionSince } from '../core/cluster/horizon.js'
import type { Lsn } from '../core/cluster/lsn.js'
import type { Node } from '../core/cluster/node.js'
import type { Topology } from '../core/cluster/topology.js'
import { endedError } from '../errors.js'
import type { Clock } from '../runtime/clock.js'
import { type Catalogue, readingNode } from './catalogue.js'
import type { Chooser } from './choice.js'
import { type Lifecycle, patienceOf } from './lifecycle.js'
import type { Monitor } from './monitor.js'
import { namedSo } from './named.js'
import { GUARDED } from './proofs.js'
import { fitReplicas, isReady, type Readiness, type ReadyTarget, unready } from './readiness.js'
import { hopeless, missing, NO_REFUSALS, refusal } from './refusal.js'
import { PRIMARY } from './request.js'
import type { Store } from './store.js'

/** ready() waits so long for the catalogue where it need not: a server that is slow shall not keep an application from starting. */
const CATALOGUE_MILLIS = 2000

export interface WaitsParts {
  readonly config: Config
  readonly clock: Clock
  readonly store: Store
  readonly lifecycle: Lifecycle
  readonly monitor: Monitor
  readonly chooser: Chooser
  readonly catalogue: Catalogue
  /** Starts or wakes what looks at the servers. Gives the moment, on the monotonic clock. */
  readonly open: () => number
}

/** A position, and the picture that it belongs to. */
export interface Placed {
  readonly lsn: Lsn
  readonly topology: Topology
}

export class Waits {
  readonly #parts: WaitsParts

  constructor(parts: WaitsParts) {
    this.#parts = parts
  }

  /** Resolves when the catalogue has arrived, or was tried in vain. Throws where no server can be asked, as a statement would. */
  async catalogue(startedAt: number, signal?: AbortSignal): Promise<void> {
    const { config, clock, store, lifecycle, catalogue } = this.#parts
    lifecycle.enter()
    const find = (topology: Topology) => {
      this.#throwHopeless(topology, config)
      return topology.plural || readingNode(topology, true) !== null || undefined
    }
    try {
      const left = () => patienceOf(config) - (clock.mono() - startedAt)
      if (await store.waitFor(find, left(), signal)) await catalogue.arrivesWithin(left())
    } finally {
      lifecycle.leave()
    }
  }

  /** Waits until the wanted nodes are there; the error after `millis` tells what is missing. */
  async ready(wanted: ReadyTarget, millis: number): Promise<Readiness> {
    const { config, clock, store, lifecycle } = this.#parts
    const startedAt = this.#parts.open()
    lifecycle.enter()
    const patient = { ...config, patient: true }
    const servesAlone = aloneOf(config) === 'serve'
    const find = (topology: Topology) => {
      if (lifecycle.state !== 'open') throw endedError()
      this.#throwHopeless(topology, patient)
      return isReady(topology, wanted, clock.now(), servesAlone) || undefined
    }
    try {
      const left = () => millis - (clock.mono() - startedAt)
      if (await store.waitFor(find, millis)) {
        const isOver = await this.#asked(wanted, left())
        const { topology } = store
        const replicas = fitReplicas(topology, wanted.maxLagMillis, clock.now(), servesAlone)
        if (isOver || wanted.replicas === 0) {
          return { primary: topology.primary, replicas, catalogue: this.#isKnown }
        }
      }
      throw unready(store.topology, wanted, millis, clock.now(), servesAlone)
    } finally {
      lifecycle.leave()
    }
  }

  /** The first attempt to read the catalogue is over, or none is needed. Waits longer for it where replicas are wanted. */
  async #asked({ primary, replicas }: ReadyTarget, millis: number): Promise<boolean> {
    const { config, catalogue } = this.#parts
    if (config.attributes !== 'any') return true
    if (replicas > 0) return catalogue.arrivesWithin(millis)
    return this.#isKnown || (primary && catalogue.arrivesWithin(Math.min(millis, CATALOGUE_MILLIS)))
  }

  /** The catalogue keeps no read from a replica. */
  get #isKnown(): boolean {
    const { config, store, catalogue } = this.#parts
    return config.attributes !== 'any' || !store.topology.plural || catalogue.current
  }

  /** The addresses of a host that was configured by name, once it has been looked up; undefined: it is none, or has none in time. */
  async resolved(name: string, millis: number): Promise<readonly NodeKey[] | undefined> {
    const { config, store, lifecycle } = this.#parts
    if (!config.seeds.some((seed) => seed.lookup && keyOf(seed) === name)) return undefined
    lifecycle.enter()
    try {
      const find = (topology: Topology) => {
        const found = namedSo(topology, name)
        return found.length === 0 ? undefined : found
      }
      return await store.waitFor(find, Math.min(millis, config.failoverTimeoutMillis))
    } finally {
      lifecycle.leave()
    }
  }

  /** A position of the primary, or of this replica, asked for after `since`; and the picture that it belongs to. */
  async positionSince(since: number, asynchronous: boolean, replica: NodeKey | null): Promise<Placed> {
    const { config, clock, store, lifecycle, monitor, chooser } = this.#parts
    const startedAt = this.#parts.open()
    const find = (topology: Topology) => {
      if (!lifecycle.mayHope(topology, PRIMARY, false)) throw endedError()
      const lsn =
        (topology.primary === null ? undefined : positionSince(topology.wal, since, asynchronous)?.lsn) ??
        (replica === null ? undefined : shownSince(topology.nodes.get(replica), since))
      return lsn === undefined ? undefined : { lsn, topology }
    }
    lifecycle.begin()
    try {
      if (find(store.topology) === undefined) {
        for (const key of [store.topology.primary, replica]) if (key !== null) monitor.wake(key)
      }
      const found = await store.waitFor(find, patienceOf(config) - (clock.mono() - startedAt))
      if (found !== undefined) return found
      this.#parts.open()
      const { refused } = chooser.decide(PRIMARY, GUARDED)
      throw refusal(missing(store.topology, PRIMARY), store.topology, refused, config, null)
    } finally {
      lifecycle.leave()
      lifecycle.done()
    }
  }

  #throwHopeless(topology: Topology, config: Config): void {
    const nothing = { target: PRIMARY, refused: () => NO_REFUSALS, newest: null, waitedMillis: 0 }
    const given = hopeless(topology, config, { ...nothing, now: this.#parts.clock.now() })
    if (given !== null) throw given.error
  }
}

/** What the replica had replayed at some time after `since`: all that it had shown before. */
function shownSince(node: Node | undefined, since: number): Lsn | undefined {
  if (node?.state.kind !== 'replica' || !node.state.follows) return undefined
  const { position } = node.state
  return position !== null && position.askedAt.mono > since ? position.lsn : undefined
}
