// The functions of an application that a pool calls, and the ways in which they may misbehave. What must come of it: 'decides':
// the pool has a default, and a warning; 'belongs': what is thrown is the error of the statement, which was not sent.

export const WAYS = [
  'throws an error',
  'throws an error with a code of the server’s',
  'throws a frozen error',
  'throws undefined',
  'throws null',
  'throws a string',
  'throws what cannot be read',
  'throws a proxy that refuses everything',
  'rejects',
  'rejects with undefined',
  'returns nothing',
  'returns garbage',
  'returns a promise',
  'never settles',
  'calls the pool',
  'ends the pool',
] as const
export type WayName = (typeof WAYS)[number]

export interface Expectation {
  readonly kind: 'decides' | 'belongs'
  /** Ways that mean nothing here, and why. */
  readonly not?: readonly WayName[]
  /** Ways that are no misbehaviour here: nothing is warned of. */
  readonly fine?: readonly WayName[]
}

export const FUNCTIONS = {
  balance: { kind: 'decides' },
  onDiscover: { kind: 'decides', fine: ['returns garbage'] },
  address: { kind: 'decides', fine: ['returns nothing', 'calls the pool'] },
  log: {
    kind: 'decides',
    // Each statement that it sends is logged in turn.
    not: ['calls the pool'],
    fine: ['returns nothing', 'returns garbage', 'returns a promise', 'never settles'],
  },
  topology: {
    kind: 'decides',
    fine: ['returns nothing', 'returns garbage', 'returns a promise', 'never settles', 'calls the pool'],
  },
  // A promise that a constructor makes is no caller's.
  Promise: {
    kind: 'decides',
    not: [
      'rejects',
      'rejects with undefined',
      'returns nothing',
      'returns garbage',
      'returns a promise',
      'never settles',
      'calls the pool',
      'ends the pool',
    ],
  },
  // One that never settles is waited for, as with pg.
  password: { kind: 'belongs', not: ['never settles'] },
  onConnect: {
    kind: 'belongs',
    not: ['never settles'],
    fine: ['returns nothing', 'returns garbage', 'returns a promise', 'calls the pool'],
  },
  verify: {
    kind: 'belongs',
    not: [
      'never settles',
      'returns nothing',
      'returns garbage',
      'returns a promise',
      'calls the pool',
      'ends the pool',
    ],
  },
} as const satisfies Readonly<Record<string, Expectation>>
export type FunctionName = keyof typeof FUNCTIONS

export interface Result {
  readonly statements: readonly (
    | { readonly ok: true }
    | { readonly ok: false; readonly own: boolean; readonly outcome: string; readonly message: string }
  )[]
  /** Codes of process warnings. */
  readonly warnings: readonly string[]
}
