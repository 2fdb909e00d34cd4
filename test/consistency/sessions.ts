// pool.session(), where the product that is checked has it.

/** What a pool with sessions adds. */
export interface SessionPool {
  session<T>(work: () => Promise<T>): Promise<T>
  session<T>(token: string, work: () => Promise<T>): Promise<T>
  token(): Promise<string | null>
}

/** null: this product has no sessions, and what is about them is left out. */
export function asSession(pool: object): SessionPool | null {
  return 'session' in pool && typeof pool.session === 'function' ? (pool as SessionPool) : null
}
