// How one physical connection is used: by a question of pgherd's, by a statement of query(), by a caller that holds it. Values only.

import type { Node } from '../cluster/node.js'
import type { Scope } from './causal-scope.js'

/**
 * own: a question of pgherd's. statement: one of query(). lane: any number of plain reads. held: its holder's. released: its holder has
 * given it back, and something may still be under way.
 */
export type Use = 'idle' | 'own' | 'statement' | 'lane' | 'held' | 'released'

/** How a connection is held. */
export interface Hold {
  /** The session of the application that took it. */
  readonly scope: Scope | null
  /** The node as it was then. */
  readonly node: Node
  /** Its holder asked for a replica, whatever this is. */
  readonly insists: boolean
  /** Its holder has it as a client of a replica. */
  readonly isReplica: boolean
  /** A client of the primary has borrowed it, and judges what the server says. */
  readonly isLent: boolean
}

export class Usage {
  #use: Use = 'idle'
  #onlyReads = false
  #hold: Hold | null = null
  #scopes: Set<Scope> | null = null
  #wroteAt: number | null = null
  #snapshot: 'wanted' | 'taken' | null = null

  get use(): Use {
    return this.#use
  }
  get hold(): Hold | null {
    return this.#hold
  }
  /** Of the transaction under way: REPEATABLE READ was asked for; `taken`: with a snapshot from before any promotion. */
  get snapshot(): 'wanted' | 'taken' | null {
    return this.#snapshot
  }
  /** The sessions of the application whose statements run here, and ran in the transaction under way; null: none's. */
  get scopes(): ReadonlySet<Scope> | null {
    return this.#scopes
  }
  /** When a write of its holder was last acknowledged, on the monotonic clock. */
  get wroteAt(): number | null {
    return this.#wroteAt
  }
  /** A caller holds it, or held it and may have left something under way. */
  get isCallers(): boolean {
    return this.#use === 'held' || this.#use === 'released'
  }
  /** What runs now is known to read only; false: it may write; null: pgherd does not say so of it. */
  get reading(): boolean | null {
    if (this.#use === 'own' || this.#use === 'lane') return true
    return this.#use === 'statement' ? this.#onlyReads : null
  }

  /** A question of pgherd's begins. */
  asks(): void {
    this.#use = 'own'
  }
  answered(): void {
    this.#use = 'idle'
  }

  /** A statement of query() begins. */
  begins(onlyReads: boolean, scope: Scope | undefined): void {
    this.#use = 'statement'
    this.#onlyReads = onlyReads
    this.#scopes = scope === undefined ? null : new Set([scope])
  }
  /** From now on it carries plain reads of any callers, several at a time. */
  carries(): void {
    this.#use = 'lane'
    this.#scopes = null
  }
  /** What it was used for has been answered. */
  ends(): void {
    this.#use = 'idle'
  }

  takes(hold: Hold): void {
    this.#use = 'held'
    this.#hold = hold
    this.#snapshot = null
    this.#wroteAt = null
    this.#scopes = null
  }
  /** The holder sends a statement in this session of the application. */
  sends(scope: Scope | undefined): void {
    if (!this.isCallers) return
    for (const each of [scope, this.#hold?.scope]) if (each) this.#scopes = (this.#scopes ?? new Set()).add(each)
  }
  releases(): void {
    this.#use = 'released'
  }
  /** Nothing of its last holder is under way any more. */
  settles(): void {
    if (this.#use === 'released') this.#use = 'idle'
  }

  /** Its transaction keeps one snapshot. */
  wantsSnapshot(): void {
    this.#snapshot = 'wanted'
  }
  /** A read of its transaction was answered before the server left recovery. */
  hasRead(): void {
    this.#snapshot &&= 'taken'
  }

  writes(at: number): void {
    this.#wroteAt = at
  }

  /** The server is ready for the next statement. `isLast`: nothing was sent behind the one that has ended. */
  protected rest(status: string, isLast: boolean): void {
    if (status !== 'T') this.#snapshot = null
    // Held for long, a connection serves any number of sessions.
    if (this.isCallers && status === 'I' && isLast) this.#scopes = null
  }
}
