// The changes between two topologies that a subscriber may have to act on.

import type { NodeKey } from './address.js'
import type { Node } from './node.js'
import type { Topology } from './topology.js'

/** Returns the changes that a subscriber may have to act on, in order. Positions and samples are no changes. */
export type Change =
  | {
      readonly kind: 'added' | 'removed' | 'suspect' | 'cleared' | 'generation' | 'drained' | 'resumed'
      readonly key: NodeKey
    }
  | { readonly kind: 'state'; readonly key: NodeKey; readonly from: string; readonly to: string }
  | { readonly kind: 'primary'; readonly from: NodeKey | null; readonly to: NodeKey | null }
  | { readonly kind: 'epoch'; readonly epoch: number }
  | { readonly kind: 'contested'; readonly claimants: readonly NodeKey[] }

export function changes(before: Topology, after: Topology): readonly Change[] {
  if (before === after) return []
  const found: Change[] = []
  for (const key of before.nodes.keys()) if (!after.nodes.has(key)) found.push({ kind: 'removed', key })
  for (const [key, node] of after.nodes) {
    const old = before.nodes.get(key)
    if (old === node) continue
    if (old === undefined) found.push({ kind: 'added', key })
    else found.push(...nodeChanges(old, node))
  }
  if (before.primary !== after.primary) found.push({ kind: 'primary', from: before.primary, to: after.primary })
  if (before.epoch !== after.epoch) found.push({ kind: 'epoch', epoch: after.epoch })
  if (after.contested !== null && before.contested === null) {
    found.push({ kind: 'contested', claimants: after.contested.claimants })
  }
  return found
}

function nodeChanges(old: Node, node: Node): Change[] {
  const { key } = node
  const found: Change[] = []
  if (old.state.kind !== node.state.kind) {
    found.push({ kind: 'state', key, from: old.state.kind, to: node.state.kind })
  }
  if (old.generation !== node.generation) found.push({ kind: 'generation', key })
  if (old.draining !== node.draining) found.push({ kind: node.draining ? 'drained' : 'resumed', key })
  if ((old.suspect === null) !== (node.suspect === null)) {
    found.push({ kind: node.suspect === null ? 'cleared' : 'suspect', key })
  }
  return found
}
