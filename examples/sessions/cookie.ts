// The token in a visitor's cookie. A client can send any text, so session() ignores a text that is not a token.

import { setTimeout as pause } from 'node:timers/promises'
import type { Pool } from 'pgherd'

export const COOKIE = 'seen'

/** Once replicas are past it a token says nothing new: after maxStaleMillis no read needs it. */
export const MAX_AGE_SECONDS = 60

export function tokenIn(header: string | undefined): string | undefined {
  return new RegExp(`(?:^|;\\s*)${COOKIE}=([^;]*)`).exec(header ?? '')?.[1]
}

/**
 * While there is no primary token() waits for one, and a visitor should not have to wait. Then the answer has no new cookie. The
 * answer is complete, but the next request may miss what this one wrote.
 */
export function tokenSoon(pool: Pool): Promise<string | null> {
  return Promise.race([pool.token().catch(() => null), pause(1000, null, { ref: false })])
}

/** With TLS, add `; Secure`. A token needs no quoting. */
export function cookieOf(token: string): string {
  return `${COOKIE}=${token}; Path=/; Max-Age=${MAX_AGE_SECONDS}; HttpOnly; SameSite=Lax`
}
