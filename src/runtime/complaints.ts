// Process warnings about mistakes of the application's functions, or of pgherd itself: each is given once for each pool.

import { propertyOf, textOf, wordsOf } from '../core/thrown.js'

/** Warns of a function of the application that failed, once for each `name`. */
export type Complain = (name: string, what: string) => void

/** Complaints as process warnings. */
export function complaints(): Complain {
  const told = new Set<string>()
  return (name, what) => {
    if (told.has(name)) return
    told.add(name)
    process.emitWarning(`${name} ${what} This is told once.`, { type: 'PgherdWarning', code: 'PGHERD_APPLICATION' })
  }
}

/** Warns once, with the stack, of an error that pgherd itself should not have thrown. The pool goes on without that event. */
export function defects(): (error: unknown) => void {
  let isTold = false
  return (error) => {
    if (isTold) return
    isTold = true
    const text = `pgherd has a defect: news of a server could not be taken in (${wordsOf(error)}). Please report it.`
    process.emitWarning(text, {
      type: 'PgherdWarning',
      code: 'PGHERD_DEFECT',
      detail: textOf(propertyOf(error, 'stack')),
    })
  }
}
