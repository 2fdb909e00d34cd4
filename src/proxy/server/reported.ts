// What servers report of their settings, as values that are compared at once.

const MOST_SHARED = 1000
const reports = new Map<string, ReadonlyMap<string, string>>()

/** Thousands of clients and connections report the same: one object stands for it, and is compared at once. */
export function shared(parameters: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const sorted = [...parameters].sort(([a], [b]) => (a < b ? -1 : 1))
  const key = JSON.stringify(sorted)
  const known = reports.get(key)
  if (known !== undefined) return known
  if (reports.size >= MOST_SHARED) reports.clear()
  const made = new Map(sorted)
  reports.set(key, made)
  return made
}
