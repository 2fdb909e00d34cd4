// Which known name a misspelt one was meant to be. Compares letters, looks nothing up, and prefers to find nothing: a name that is
// like none of ours may belong to pg or to a library.

/** `asked` is no name of ours, and `meant` is the one that is nearest to it. */
export interface Misspelt {
  readonly asked: string
  readonly meant: string
}

/** The known name that this one looks like; null: none, or it is a known one. */
export function meantBy(name: string, known: readonly string[]): string | null {
  if (name.length > LONGEST || known.includes(name)) return null
  const [plain, stem] = [plainOf(name), stemOf(name)]
  let [best, least] = [null as string | null, Infinity]
  for (const each of known) {
    const far = plain === plainOf(each) ? 0 : stem === stemOf(each) ? 1 : distance(plain, plainOf(each))
    if (far < least && far <= mostOf(plainOf(each))) [best, least] = [each, far]
  }
  return best
}

/** No name of an option is longer than this. */
const LONGEST = 40

/** So many letters may be wrong. */
function mostOf(name: string): number {
  return name.length < 8 ? 1 : 2
}

/** Without what languages write differently: max_lag_millis, maxlagmillis. */
function plainOf(name: string): string {
  return name.replace(/[_-]/g, '').toLowerCase()
}

/** Without its unit: maxLag, maxLagMs, max_lag_seconds. */
function stemOf(name: string): string {
  return plainOf(name).replace(/(?:millis|milliseconds|ms|seconds|secs?)$/, '')
}

/** How many letters must be added, left out, exchanged, or swapped with the next. */
export function distance(a: string, b: string): number {
  let before: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      const least = Math.min((above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (above[j - 1] ?? 0) + same)
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      row.push(isSwapped ? Math.min(least, (before[j - 2] ?? 0) + 1) : least)
    }
    before = above
    above = row
  }
  return above[b.length] ?? 0
}
