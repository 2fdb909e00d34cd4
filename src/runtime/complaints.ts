// Warnings about what the application's functions, or pgherd itself, did wrong: each told once for each pool.

import { propertyOf, textOf, wordsOf } from '../core/thrown.js'

/** Tells of a function of the application that failed, once for each `name`. */
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

/** What pgherd itself should not have thrown: told once, with its stack, and the pool goes on without that news. */
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
