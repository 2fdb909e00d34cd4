// What happened to one statement: which nodes were tried, refused and given up, how long it waited, how it ended. Filled in as it
// happens, for spans, metrics and channels. Decides nothing, and holds neither the statement's text nor a value.

import type { NodeAddress, NodeKey } from '../core/cluster/address.js'
import { failureOf, type Phase, type Source } from '../core/cluster/failure.js'
import { lagOf } from '../core/cluster/horizon.js'
import type { Instant } from '../core/cluster/instant.js'
import type { Chosen, Refusal } from '../core/cluster/selection.js'
import type { Topology } from '../core/cluster/topology.js'
import { isA } from '../core/thrown.js'
import { PgherdError } from '../errors.js'

/** What was asked for. */
export interface Task {
  /**
   * `borrow`: only the choice of a replica for a client's transaction. `connect`: a client for a caller of connect(). It has no
   * span and no channel event of its own; its statements have.
   */
  readonly kind: 'statement' | 'transaction' | 'borrow' | 'connect'
  /** The verb, and the verbs and tables: of its text, without values. Empty where there is none, or it cannot be read. */
  readonly operation: string
  readonly summary: string
  /** The text with `?` for each literal and parameter, where it was asked for. */
  readonly shape: string | null
  readonly intent: 'read' | 'write' | 'session'
  /** Why it needs what it needs. */
  readonly reason: string
}

/** A node that one attempt was made with, and how far that came. */
export interface Tried extends Chosen {
  readonly phase: Phase
  readonly source: Source
  readonly isHedge?: boolean
}

/** `at`: on the monotonic clock, in milliseconds. */
export interface Passed {
  readonly node: NodeKey
  readonly refusal: Refusal
  readonly at: number
}

export interface Retry {
  readonly node: NodeKey
  readonly role: 'primary' | 'replica'
  /** The kind of failure, and its code if it has one. */
  readonly cause: string
  readonly code: string | null
  readonly at: number
}

export class Journey implements Task {
  readonly kind: Task['kind']
  readonly operation: string
  readonly summary: string
  readonly shape: string | null
  readonly intent: Task['intent']
  readonly reason: string
  /** The node of the newest attempt: `host:port`. */
  node: NodeKey | null = null
  address: NodeAddress | null = null
  role: 'primary' | 'replica' | null = null
  /** Why that node. */
  choice: Chosen['reason'] | null = null
  /** On a replica: its lag when it was chosen, in milliseconds, an upper bound. Null: nothing was proven, or it is none. */
  lagMillis: number | null = null
  attempts = 0
  /** How long it waited for a node to be fit, in all. */
  waitMillis = 0
  readonly refused: Passed[] = []
  readonly retries: Retry[] = []
  error: unknown = null
  /** When it began to wait for a node; null: it has one. */
  #since: number | null
  #failed: Retry | null = null

  constructor(task: Task, now: number) {
    this.kind = task.kind
    this.operation = task.operation
    this.summary = task.summary
    this.shape = task.shape
    this.intent = task.intent
    this.reason = task.reason
    this.#since = now
  }

  begins({ node, reason, refused }: Tried, topology: Topology, now: Instant): void {
    if (this.#failed !== null) this.retries.push(this.#failed)
    this.#failed = null
    this.attempts++
    this.#waited(now.mono)
    this.node = node.key
    this.address = node.address
    this.role = node.state.kind === 'replica' ? 'replica' : 'primary'
    this.choice = reason
    this.lagMillis = null
    for (const [key, refusal] of refused) this.#pass(key, refusal, now.mono)
    if (node.state.kind !== 'replica' || node.state.position === null || !node.state.follows) return
    const lag = lagOf(topology.wal, node.state.position.lsn, now)
    if (lag !== Infinity) this.lagMillis = lag
  }

  fails({ phase, source }: Tried, error: unknown, now: number): void {
    this.#since = now
    const { kind, code } = failureOf(error, phase, source)
    if (this.node === null || this.role === null) return
    this.#failed = { node: this.node, role: this.role, cause: kind, code, at: now }
  }

  /** The caller was given the result or the error. */
  ends(error: unknown, now: number): void {
    this.error = error
    // What follows from an attempt has errors of its own: they may be those of other statements.
    if (this.#since === null) return
    this.#waited(now)
    if (!isA(error, PgherdError)) return
    for (const [key, { refused }] of error.nodes) if (refused !== null) this.#pass(key, refused, now)
  }

  #waited(now: number): void {
    if (this.#since !== null) this.waitMillis += now - this.#since
    this.#since = null
  }

  /** Refusals that every statement of its kind would meet are not recorded: that a replica is no primary. */
  #pass(node: NodeKey, refusal: Refusal, at: number): void {
    if (USUAL.has(refusal)) return
    this.refused.push({ node, refusal, at })
  }
}

const USUAL: ReadonlySet<Refusal> = new Set(['is-primary', 'not-used', 'alias', 'spare', 'other-zone'])
