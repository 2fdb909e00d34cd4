// Waits for an AbortSignal. Any number of statements share one listener, since Node warns of a leak from the eleventh listener on.

interface Shared {
  readonly tells: Set<() => void>
  readonly listener: () => void
}

const shared = new WeakMap<AbortSignal, Shared>()

/** Calls `tell` when `signal` is aborted. Returns a function that unsubscribes. */
export function onAbort(signal: AbortSignal, tell: () => void): () => void {
  const { tells, listener } = shared.get(signal) ?? listened(signal)
  tells.add(tell)
  return () => {
    if (!tells.delete(tell) || tells.size > 0) return
    shared.delete(signal)
    signal.removeEventListener('abort', listener)
  }
}

function listened(signal: AbortSignal): Shared {
  const tells = new Set<() => void>()
  const listener = () => {
    for (const tell of tells) tell()
  }
  const made = { tells, listener }
  shared.set(signal, made)
  signal.addEventListener('abort', listener)
  return made
}

/** Settles as `work` does, or rejects with the signal's reason as soon as it is aborted. A late result is given to `discard`. */
export function abortable<T>(work: Promise<T>, signal: AbortSignal, discard?: (late: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    let over = false
    const aborted = () => {
      over = true
      reject(signal.reason)
    }
    const done = onAbort(signal, aborted)
    work.then(
      (result) => {
        done()
        if (over) discard?.(result)
        else resolve(result)
      },
      (error) => {
        done()
        reject(error)
      }
    )
  })
}
