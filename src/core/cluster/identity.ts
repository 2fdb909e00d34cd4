// Which server answers at an address. One that restarts never shows its old start time again; where an old one comes back, a
// balancer stands in front of several, and what one connection was shown says nothing about the next. Looks at no clock.

import { elapsed, type Instant } from './instant.js'

export interface Identity {
  /** When the server that answered last was started, in its own words. */
  readonly current: string
  /** Those that answered before it, the newest last. */
  readonly past: readonly string[]
  /** When servers were last seen to take turns. */
  readonly balancedAt: Instant | null
}

const MOST_PAST = 8
/** An address may be moved there and back by hand; a balancer shows itself again and again. */
const REMEMBERED_MILLIS = 600_000

/** `startedAt` empty: the server does not say. */
export function observed(identity: Identity | null, startedAt: string, at: Instant): Identity | null {
  if (startedAt === '' || identity?.current === startedAt) return identity
  if (identity === null) return { current: startedAt, past: [], balancedAt: null }
  const past = [...identity.past.filter((one) => one !== startedAt), identity.current].slice(-MOST_PAST)
  return { current: startedAt, past, balancedAt: identity.past.includes(startedAt) ? at : identity.balancedAt }
}

export function isBalanced(identity: Identity | null, now: Instant): boolean {
  return identity !== null && identity.balancedAt !== null && elapsed(identity.balancedAt, now) < REMEMBERED_MILLIS
}
