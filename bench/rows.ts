// The rows of the table that `npm run bench` makes, and their aims. A row is a form, the servers it runs on, and who runs it.

import type { PoolConfig } from 'pgherd'
import { herd, type Opener, pgPool, postgresJs } from './contenders.js'
import { type Form, mixOfTexts, mixOfValues, onBorrowed, query, readOnly, write } from './forms.js'

export type Servers = 'one server' | 'routed'

/** How many replicas. */
export const REPLICAS: Readonly<Record<Servers, number>> = { 'one server': 0, routed: 1 }

export interface Row {
  readonly on: Servers
  readonly form: Form
  /** How many at once; each number makes a line. */
  readonly callers: readonly number[]
  /** What the others are divided by. */
  readonly base: Opener
  readonly others: readonly Opener[]
  /** For each of `callers`: at most so much of the base's CPU per operation, at least so much of its throughput. */
  readonly cpu?: readonly number[]
  readonly rate?: readonly number[]
  /** At most so much of the base's 99th percentile of the quick reads. */
  readonly p99?: readonly number[]
  /** Callers pause, so that all together begin about so many operations a second; without it they never do. */
  readonly perSecond?: number
  /** Of pgherd's. */
  readonly own?: PoolConfig
  /** A pooler in between can run it, too. */
  readonly poolers?: true
}

const CALLERS = [1, 10, 64]
const NO_TAX = { callers: CALLERS, cpu: [1.05, 1.05, 1.05], rate: [0.98, 0.98, 0.98] }

const alone = (form: Form) => ({ on: 'one server' as const, form, base: pgPool, others: [herd()] })
const routed = (form: Form) => ({ on: 'routed' as const, form, base: pgPool, others: [herd()] })
/**
 * A pace that leaves the processors idle at times: without it the 99th percentile is that of the queue, and tells the throughput once more.
 * pg_sleep is VOLATILE: without the option no replica would get the slow reads.
 */
const mix = (form: Form) => ({
  ...routed(form),
  callers: [10, 64],
  p99: [1.0, 1.0],
  perSecond: 2000,
  own: { replicaSafeFunctions: ['pg_sleep'] },
})

/** The aims are those of the issue "What the application pays". */
export const TABLE: readonly Row[] = [
  { ...alone(query), ...NO_TAX },
  { ...alone(onBorrowed), ...NO_TAX },
  { ...alone(readOnly), ...NO_TAX },
  { ...alone(write), ...NO_TAX },
  { ...alone(query), callers: [5000], cpu: [1.05], rate: [0.98] },
  { ...routed(query), callers: CALLERS, cpu: [1.15, 0.85, 0.65], rate: [0.95, 1.15, 1.6], poolers: true },
  { ...routed(onBorrowed), callers: CALLERS, cpu: [1.25, 1.0, 0.85], rate: [0.9, 1.0, 1.2] },
  { ...routed(readOnly), callers: CALLERS, cpu: [1.0, 1.0, 1.0], rate: [1.1, 1.1, 1.1] },
  { ...routed(write), callers: CALLERS, cpu: [1.15, 1.15, 1.15], rate: [0.97, 0.97, 0.97] },
  { ...routed(query), callers: CALLERS, base: postgresJs, rate: [1.5, 1.5, 1.5] },
  mix(mixOfTexts),
  mix(mixOfValues),
]

/** What an option of the command line finds it by. */
export function nameOf({ on, form, callers, base }: Row): string {
  const many = callers.length === 1 ? `, ${callers[0]} callers` : ''
  return `${on}, ${form.name}${many}${base === postgresJs ? ', against postgres.js' : ''}`
}
