// Warns of names that are no option, and look like one: they have no effect, and nothing else says so. Each is told once. What looks
// like no option is passed by: pg, or a library in between, may read it.

import { meantBy } from '../core/spelling.js'

/** Names that need not be looked at again. An application that makes names up without end shall not fill the memory with them. */
const judged = new Set<string>()
const MOST_JUDGED = 1000

/** Warns of the properties of `given` that are not `allowed` and look like one of `ours`. `call` is what it was given to. */
export function warnOfMisspelt(
  given: object,
  allowed: ReadonlySet<string>,
  call: string,
  ours: Iterable<string> = allowed
): void {
  try {
    for (const name in given) if (!allowed.has(name)) judge(name, ours, call)
  } catch {
    // A proxy does not tell its names.
  }
}

function judge(name: string, ours: Iterable<string>, call: string): void {
  const place = `${call} ${name}`
  if (judged.has(place) || judged.size >= MOST_JUDGED) return
  judged.add(place)
  const meant = meantBy(name, [...ours])
  if (meant !== null) warnOf(name, meant, call)
}

export function warnOf(name: string, meant: string, call: string): void {
  const text = `${call} was given ${name}, which is no option and has no effect: did you mean ${meant}?`
  process.emitWarning(text, { type: 'PgherdWarning', code: 'PGHERD_OPTION' })
}
