// What has been tried for one statement, so that no node can hold it in a loop. Made only when an attempt has failed. A node is
// avoided for as long as its failure is the newest that is known of it, and no longer.

import type { NodeKey } from '../core/cluster/address.js'
import type { Failure } from '../core/cluster/failure.js'
import { isUp, type Node } from '../core/cluster/node.js'
import type { Chosen } from '../core/cluster/selection.js'
import type { FailureKind } from '../core/cluster/sqlstates.js'
import type { Topology } from '../core/cluster/topology.js'

/** A dead idle connection is no reason to fail a write; a node that eats every fresh one is. */
const MOST_TRIES = 3
/** A probe has its own connection, so it does not tell when the server has a free one again. */
const FULL_MILLIS = 1000

/** Why a node was left alone. */
interface Setback {
  readonly generation: number
  readonly kind: FailureKind
  /** When the failure was noticed, on the monotonic clock. */
  readonly at: number
  /** It had all the chances that one node gets, with the connections that it has now. */
  readonly final: boolean
}

export class History {
  readonly #setbacks = new Map<NodeKey, Setback>()
  readonly #tries = new Map<string, number>()
  #newest: Failure | null = null
  #conflicts = 0
  /** What a replica refused, if the statement went to the primary for it. */
  refusal: Failure | null = null
  /** It goes to the primary as a replica could not serve it. */
  repaired = false
  /** What became of the time: all of it is under one deadline. */
  waitedMillis = 0
  connectingMillis = 0
  #attempts = 0

  /** The nodes whose failures nothing newer has outdated. */
  avoided({ nodes }: Topology): ReadonlySet<NodeKey> {
    if (this.#setbacks.size === 0) return NOBODY
    const avoided = new Set<NodeKey>()
    for (const [key, setback] of this.#setbacks) {
      const node = nodes.get(key)
      if (node !== undefined && !isOutdated(setback, node)) avoided.add(key)
    }
    return avoided
  }

  /** An attempt to have a connection has failed, or was given up, after so long. */
  connecting(millis: number): void {
    this.connectingMillis += millis
    this.#attempts++
  }

  /** For the reader of an error. */
  get spent(): string {
    const attempts = `${this.#attempts} ${this.#attempts === 1 ? 'attempt' : 'attempts'} to connect`
    const parts = [
      this.waitedMillis < 1 ? null : `${Math.round(this.waitedMillis)} ms went into waiting for a node`,
      this.#attempts === 0 ? null : `${Math.round(this.connectingMillis)} ms into ${attempts}`,
    ].filter((part) => part !== null)
    return parts.length === 0 ? '' : ` ${parts.join(', ')}.`
  }

  get newest(): Failure | null {
    return this.#newest
  }

  /** False: this node, with the connections it has now, has had its chances, and no other may take the statement. */
  add({ node, reason }: Chosen, failure: Failure, at: number): boolean {
    this.#newest = failure
    // A guess that was wrong says nothing of the node: its position is known now, and decides.
    if (failure.kind === 'stale' && reason === 'guarded') return true
    const name = `${node.key}#${node.generation}`
    const tries = (this.#tries.get(name) ?? 0) + 1
    this.#tries.set(name, tries)
    const isReplica = node.state.kind === 'replica'
    const final = tries >= MOST_TRIES
    // A node whose connections were given up is not to blame: the next choice sees what became of it.
    if (failure.kind !== 'dropped' || (isReplica && final)) {
      this.#setbacks.set(node.key, { generation: node.generation, kind: failure.kind, at, final })
    }
    // A replica that is busy replaying cancelled the read. So may the next; somebody has to be told then.
    if (failure.kind === 'conflict' && ++this.#conflicts > 1) return false
    // From a replica the statement goes elsewhere, however often that failed.
    if (isReplica) return true
    // Too many connections on the primary: there is no other, and nothing to wait for.
    if (failure.kind === 'full') return false
    // A 25006 that the same, re-proven primary repeats is the user's own.
    return tries < (failure.kind === 'role' && failure.sent !== 'never' ? 2 : MOST_TRIES)
  }
}

const NOBODY: ReadonlySet<NodeKey> = new Set()

/** The node has said something since that the failure does not hold against. */
function isOutdated({ generation, kind, at, final }: Setback, node: Node): boolean {
  if (node.generation !== generation) return true
  if (final) return false
  // A connection was behind what its node had shown: a newer position decides.
  if (kind === 'stale') return node.state.kind === 'replica' && (node.state.position?.askedAt.mono ?? 0) > at
  const probedAt = node.probedAt?.mono ?? 0
  return isUp(node) && node.suspect === null && probedAt >= at + (kind === 'full' ? FULL_MILLIS : 0)
}
