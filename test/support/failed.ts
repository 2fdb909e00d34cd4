// What a statement failed with, where it must fail.

import assert from 'node:assert/strict'

export interface Failed {
  readonly code?: string
  readonly outcome?: string
  readonly message: string
}

export function failed<T = Failed>(work: Promise<unknown>): Promise<T> {
  return work.then(
    () => assert.fail('it did not fail'),
    (error: T) => error
  )
}
