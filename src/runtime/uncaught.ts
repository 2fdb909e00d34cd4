// What code of the application throws where neither pg nor Node catches it.

/** Throws it where nothing of pgherd's is under way: it is uncaught, as with pg, and stops nothing of ours. */
export function uncaught(error: unknown): void {
  process.nextTick(() => {
    throw error
  })
}
