// What was committed: known from what the server says, never from what a text looks like. An Exchange is fed with the
// messages of one connection; fateOf() tells what may have come to stay when the answer to a text ended early.
// https://www.postgresql.org/docs/current/protocol-flow.html

import type { Step } from '../sql/steps.js'

/** How a statement left its transaction. `chained`: committed, and the next block is open. */
export type Ending = 'committed' | 'undone' | 'chained' | 'open'

/** What the server has said since it was ready for the text under way. */
export interface Said {
  /** The transaction status before it: I (idle), T (in a block), E (in one that failed). */
  readonly status: string
  /** Sent by the extended protocol, which commits behind CommandComplete, at Sync. */
  readonly extended: boolean
  /** How many statements of it have completed. */
  readonly completed: number
}

/** One writer: the wire. Nothing is allocated per message. */
export class Exchange implements Said {
  #status = 'I'
  #extended = false
  #completed = 0
  #commits = 0
  #tag = ''
  #failed = false

  get status(): string {
    return this.#status
  }
  get extended(): boolean {
    return this.#extended
  }
  get completed(): number {
    return this.#completed
  }
  /** How many COMMITs have been answered as such: each is proof, in both protocols. */
  get commits(): number {
    return this.#commits
  }
  /** What the server called the last statement that completed. */
  get tag(): string {
    return this.#tag
  }

  /** BindComplete. */
  bound(): void {
    this.#extended = true
  }

  /** CommandComplete. A COMMIT that could only roll back is answered with ROLLBACK. */
  complete(tag: string): void {
    this.#completed++
    this.#tag = tag
    if (tag === 'COMMIT') this.#commits++
  }

  /** ErrorResponse. */
  fail(): void {
    this.#failed = true
  }

  /** ReadyForQuery: how the text left its transaction. The next one begins. */
  ready(status: string): Ending {
    const ending = this.#ending(status)
    this.#status = status
    this.#extended = this.#failed = false
    this.#completed = this.#commits = 0
    this.#tag = ''
    return ending
  }

  #ending(status: string): Ending {
    const chained = this.#commits > 0
    if (status !== 'I') return chained ? 'chained' : 'open'
    if (chained) return 'committed'
    // What an error ended, or a ROLLBACK, and what stood before it in the same transaction.
    return this.#failed || this.#tag === 'ROLLBACK' ? 'undone' : 'committed'
  }
}

/** How the answer ended. refused: with an error, and the session goes on. ended: with the session's last words. cut: without a word. */
export type End = 'refused' | 'ended' | 'cut'

/** What the text may have committed. all: surely all of it, as the server has said so. */
export type Fate = 'nothing' | 'perhaps' | 'all'

/** The transaction while the steps of a text are gone through. */
interface Course {
  open: boolean
  failed: boolean
  /** Something was done that a commit would make stay. */
  pending: boolean
  landed: boolean
}

/** What a text, and what was sent behind it, may have committed when its answer ended so. Acts outside of transactions aside. */
export function fateOf(steps: readonly Step[] | null, said: Said, end: End): Fate {
  if (steps === null) return 'perhaps'
  const { length } = steps
  const known = Math.min(said.completed, length)
  const commits = known < length && steps[known]?.startsWith('commit') === true
  // The server's last words end the statement that was at work; only a commit may have been overtaken by them.
  const farthest = end === 'refused' || (end === 'ended' && known < length && !commits) ? known : length
  const course: Course = {
    open: said.status !== 'I',
    failed: said.status === 'E',
    pending: said.status === 'T',
    landed: false,
  }
  let certain = false
  for (let i = 0; ; i++) {
    // A simple query commits before the CommandComplete of its last statement, the extended protocol behind it.
    const over = i === length && end !== 'refused'
    if (over && !said.extended) settle(course)
    if (i === known) certain = course.landed && !course.pending && end !== 'refused'
    if (over) settle(course)
    if (i === farthest) break
    take(course, steps[i] ?? 'work')
  }
  if (!course.landed) return 'nothing'
  return certain && known === length ? 'all' : 'perhaps'
}

/** The end of a text commits what stands in no block. */
function settle(course: Course): void {
  if (course.open || !course.pending) return
  course.landed = true
  course.pending = false
}

function take(course: Course, step: Step): void {
  switch (step) {
    case 'begin':
      course.open = true
      break
    case 'commit':
    case 'commit-chain':
      course.landed ||= course.pending
      course.pending = course.failed = false
      course.open = course.open && step === 'commit-chain'
      break
    case 'rollback':
    case 'rollback-chain':
      course.pending = course.failed = false
      course.open = course.open && step === 'rollback-chain'
      break
    case 'work':
      // In a block that failed it is refused, and so is all behind it.
      course.pending ||= !course.failed
      break
    case 'sync':
      settle(course)
      break
    case 'shape':
      break
    default:
      step satisfies never
  }
}

/** Where an error arose of a statement that nothing else shares its connection with. */
export function phaseOf(steps: readonly Step[] | null, said: Said): 'handed' | 'completed' | 'committed' {
  if (said.completed === 0) return 'handed'
  if (steps === null || said.extended) return 'completed'
  if (fateOf(steps, said, 'cut') === 'all') return 'committed'
  // Of several statements in one text the first are committed with the last.
  return said.completed < steps.length ? 'handed' : 'completed'
}
