// The token in a visitor's cookie. What comes in is anybody's text: session() is told to ignore what is no token.

import { setTimeout as pause } from 'node:timers/promises'
import type { Pool } from 'pgherd'

export const COOKIE = 'seen'

/** Once replicas are past it a token says nothing new: longer than maxStaleMillis nobody needs it. */
export const MAX_AGE_SECONDS = 60

export function tokenIn(header: string | undefined): string | undefined {
  return new RegExp(`(?:^|;\\s*)${COOKIE}=([^;]*)`).exec(header ?? '')?.[1]
}

/**
 * While there is no primary token() waits for one, and no visitor shall. Then there is no new cookie: the answer is none the
 * worse, but the next request may miss what this one wrote.
 */
export function tokenSoon(pool: Pool): Promise<string | null> {
  return Promise.race([pool.token().catch(() => null), pause(1000, null, { ref: false })])
}

/** Where there is TLS, add `; Secure`. A token needs no quoting. */
export function cookieOf(token: string): string {
  return `${COOKIE}=${token}; Path=/; Max-Age=${MAX_AGE_SECONDS}; HttpOnly; SameSite=Lax`
}
