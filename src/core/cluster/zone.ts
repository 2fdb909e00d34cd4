// Which of several replicas stand in the zone of this process. Refuses none of the others: selection.ts does.

import type { Node } from './node.js'

/** The same list comes back where the zone makes no difference: it is not known, none of them is there, or all are. */
export function ofZone(candidates: readonly Node[], zone: string | null): readonly Node[] {
  if (zone === null) return candidates
  const near = candidates.filter(({ address }) => address.zone === zone)
  return near.length === 0 || near.length === candidates.length ? candidates : near
}
