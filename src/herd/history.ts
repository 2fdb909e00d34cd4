// What has been tried for one statement, so that no node can keep it in a loop. It is made only when an attempt has failed, or when
// the statement waits. A node is avoided for as long as its failure is the newest that is known of it.

import type { NodeKey } from '../core/cluster/address.js'
import type { Failure } from '../core/cluster/failure.js'
import { isUp, type Node } from '../core/cluster/node.js'
import type { Chosen } from '../core/cluster/selection.js'
import type { FailureKind } from '../core/cluster/sqlstates.js'
import type { Topology } from '../core/cluster/topology.js'

/** A dead idle connection is no reason to fail a write. A node that loses every new connection is. */
const MOST_TRIES = 3
/** A probe has its own connection, so it does not tell when the server has room for another one. */
const FULL_MILLIS = 1000

/** Why a node is avoided. */
interface Setback {
  readonly generation: number
  readonly kind: FailureKind
  /** When the failure was noticed, on the monotonic clock. */
  readonly at: number
  /** The node had all the chances that one node gets, with the connections that it has now. */
  readonly final: boolean
}

export class History {
  readonly #setbacks = new Map<NodeKey, Setback>()
  readonly #tries = new Map<string, number>()
  #newest: Failure | null = null
  #conflicts = 0
  /** A replica's refusal, if the statement went to the primary because of it. */
  refusal: Failure | null = null
  /** The statement goes to the primary, as a replica could not serve it. */
  repaired = false
  /** How the time was spent: all of it is under one deadline. */
  waitedMillis = 0
  connectingMillis = 0
  #attempts = 0

  /** The nodes whose failures are still the newest that is known of them. */
  avoided({ nodes }: Topology): ReadonlySet<NodeKey> {
    if (this.#setbacks.size === 0) return NONE
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

  /** False: this node has had its chances with the connections that it has now, and no other node may take the statement. */
  add({ node, reason }: Chosen, failure: Failure, at: number): boolean {
    this.#newest = failure
    // A wrong guess says nothing about the node. Its position is known now, and decides.
    if (failure.kind === 'stale' && reason === 'guarded') return true
    const name = `${node.key}#${node.generation}`
    const tries = (this.#tries.get(name) ?? 0) + 1
    this.#tries.set(name, tries)
    const isReplica = node.state.kind === 'replica'
    const final = tries >= MOST_TRIES
    // The pool gave up the connections to this node, so the node is not to blame. The next choice sees what became of it.
    if (failure.kind !== 'dropped' || (isReplica && final)) {
      this.#setbacks.set(node.key, { generation: node.generation, kind: failure.kind, at, final })
    }
    // A replica that is busy replaying cancelled the read, and the next replica may do the same. The caller must be told then.
    if (failure.kind === 'conflict' && ++this.#conflicts > 1) return false
    // After a replica the statement goes to another node, however often attempts have failed.
    if (isReplica) return true
    // The primary has too many connections. There is no other primary, and nothing to wait for.
    if (failure.kind === 'full') return false
    // If the same primary is proven again and repeats a 25006, the error is due to the statement itself.
    return tries < (failure.kind === 'role' && failure.sent !== 'never' ? 2 : MOST_TRIES)
  }
}

const NONE: ReadonlySet<NodeKey> = new Set()

/** The node has said something since then that refutes the failure. */
function isOutdated({ generation, kind, at, final }: Setback, node: Node): boolean {
  if (node.generation !== generation) return true
  if (final) return false
  // A connection was behind the position that its node had shown. A newer position decides.
  if (kind === 'stale') return node.state.kind === 'replica' && (node.state.position?.askedAt.mono ?? 0) > at
  const probedAt = node.probedAt?.mono ?? 0
  return isUp(node) && node.suspect === null && probedAt >= at + (kind === 'full' ? FULL_MILLIS : 0)
}
