// What has been tried for one statement, so that no node can hold it in a loop. Made only when an attempt has failed.

import type { Failure } from '../core/failure.js'
import type { Node, NodeKey } from '../core/node.js'

/** A dead idle connection is no reason to fail a write; a node that eats every fresh one is. */
const MOST_TRIES = 3

export class History {
  readonly #avoided = new Set<NodeKey>()
  readonly #tries = new Map<string, number>()
  #newest: Failure | null = null
  #conflicts = 0
  /** What a replica refused, if the statement went to the primary for it. */
  refusal: Failure | null = null
  /** What became of the time: all of it is under one deadline. */
  waitedMillis = 0
  connectingMillis = 0
  #attempts = 0

  get avoided(): ReadonlySet<NodeKey> {
    return this.#avoided
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

  /** False: this node, with the connections it has now, has had its chances. */
  add(node: Node, failure: Failure): boolean {
    // A node whose connections were given up is not to blame: the next choice sees what became of it.
    if (failure.kind !== 'dropped') this.#avoided.add(node.key)
    this.#newest = failure
    const name = `${node.key}#${node.generation}`
    const tries = (this.#tries.get(name) ?? 0) + 1
    this.#tries.set(name, tries)
    // A replica that is busy replaying cancelled the read. So may the next; somebody has to be told then.
    if (failure.kind === 'conflict' && ++this.#conflicts > 1) return false
    // Too many connections on the primary: there is no other, and nothing to wait for.
    if (failure.kind === 'full' && node.state.kind !== 'replica') return false
    // A 25006 that the same, re-proven primary repeats is the user's own.
    return tries < (failure.kind === 'role' && failure.sent !== 'never' ? 2 : MOST_TRIES)
  }
}
