// What a callback form did: what it returned, what it called back with, and whether it did so before it returned.

export interface Call {
  readonly returned: unknown
  readonly args: readonly unknown[]
  readonly synchronous: boolean
}

export async function called(start: (callback: (...args: unknown[]) => void) => unknown): Promise<Call> {
  let returned: unknown
  let starting = true
  const { args, synchronous } = await new Promise<Pick<Call, 'args' | 'synchronous'>>((resolve) => {
    returned = start((...all) => resolve({ args: all, synchronous: starting }))
    starting = false
  })
  return { returned, args, synchronous }
}

/** The error that it rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  return promise.then(
    (value) => {
      throw new Error(`resolved with ${String(value)}`)
    },
    (error) => error
  )
}

/** Whether it has settled by now; never waits for it. */
export function watched(promise: Promise<unknown>): { settled: boolean } {
  const state = { settled: false }
  const settle = () => {
    state.settled = true
  }
  promise.then(settle, settle)
  return state
}

/** A timer that is set later, with the same duration, fires later: so all that were due by now have fired. */
export function elapsed(millis: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, millis))
}
