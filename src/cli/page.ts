// A topology as lines of a page: the cluster, its nodes, what the role may not see, what is wrong and what helps.

import { listed, printable, wrapped } from '../core/words.js'
import { hanging, nodeTable } from '../report/print.js'
import type { Paint } from '../report/text.js'
import type { TopologySnapshot } from '../report/types.js'
import type { Verdict } from './verdict.js'

/** What is known of the cluster as a whole; no line: nothing yet. */
export function clusterLines(snapshot: TopologySnapshot, paint: Paint, width: number): string[] {
  const { systemIdentifier, epoch, nodes } = snapshot
  // What a packager adds to the number is not asked for.
  const versions = [...new Set(nodes.map(({ version }) => version?.split(' ')[0]).filter((each) => each !== undefined))]
  const facts = [
    ...(systemIdentifier === null ? [] : [`system identifier ${systemIdentifier}`]),
    ...(versions.length === 0 ? [] : [`PostgreSQL ${versions.map(printable).join(', ')}`]),
    ...(epoch === 0 ? [] : [`epoch ${epoch}`]),
  ]
  return wrapped(facts.join(' · '), width).map((line) => paint(line, 'dim'))
}

export function verdictLines({ healthy, text, advice }: Verdict, paint: Paint, width: number): string[] {
  const told = hanging(text, '', width).map((line) => paint(line, 'bold', healthy ? 'green' : 'red'))
  return [...told, ...(advice === null ? [] : hanging(advice, '', width))]
}

export function nodeLines(snapshot: TopologySnapshot, paint: Paint, width: number): string[] {
  return nodeTable(snapshot, paint, width)
}

/** Grouped: what is hidden alike on several nodes is one line, and each GRANT is shown once. */
export function hiddenLines({ nodes }: TopologySnapshot, paint: Paint, width: number): string[] {
  const whose = new Map<string, string[]>()
  const grants = new Set<string>()
  for (const { key, hidden } of nodes) {
    for (const { what, grant } of hidden) {
      whose.set(what, [...(whose.get(what) ?? []), key])
      grants.add(grant)
    }
  }
  if (whose.size === 0) return []
  const lines = [...whose].flatMap(([what, keys]) => hanging(`on ${listed(keys)}: ${what}`, '  - ', width))
  return [
    paint('Hidden from this role:', 'yellow'),
    ...lines,
    'To be run on the primary:',
    ...[...grants].map((grant) => `  ${paint(`${grant};`, 'bold')}`),
  ]
}

/** One line in place of all that. */
export function hiddenHint({ nodes }: TopologySnapshot, paint: Paint, width: number): string[] {
  if (nodes.every(({ hidden }) => hidden.length === 0)) return []
  const text = "This role does not see everything: 'pgherd status' tells what to grant."
  return hanging(text, '', width).map((line) => paint(line, 'dim'))
}
