// The connections of one node in one generation: an inner pg.Pool that dials one address with the right TLS name. Condemning
// drops it whole. Decides nothing about nodes; what happens on its wires it tells its owner.

import type pg from 'pg'
import type { Client, PoolClient } from 'pg'
import type { Clock } from '../clock.js'
import { type Failure, failureOf } from '../core/failure.js'
import { parseLsn } from '../core/lsn.js'
import type { Node, NodeKey } from '../core/node.js'
import { PgherdError } from '../errors.js'
import { type ClientClass, withoutWeakAuth } from '../guard.js'
import type { Place } from '../herd/herd.js'
import { cancel } from './cancel.js'
import { Borrower, borrowerOf, isLeftInTransaction, type Lender } from './client.js'
import { guarded, lookedAfter } from './hooks.js'
import type { QueryArgs, Wishes } from './query-args.js'
import { free as whenReady } from './turn.js'
import { reset, type Wire, type WireEvents, watch, wireOf } from './wire.js'

type Release = (error?: Error | boolean) => void
type Notice = (message: unknown) => void
type Connected = (error: Error | undefined, client: PoolClient | undefined, release: Release) => void

/** The parts of pg-pool that a pool over pools needs, published or not. */
export interface InnerPool {
  readonly totalCount: number
  readonly idleCount: number
  readonly waitingCount: number
  readonly expiredCount: number
  readonly _clients: readonly Client[]
  readonly _idle: readonly unknown[]
  readonly _pendingQueue: { readonly callback: Connected }[]
  /** Clients whose time is up: release() removes them. */
  readonly _expired?: { add(client: Client): void }
  connect(callback: Connected): void
  end(): Promise<void>
  emit: (event: string, first?: unknown, second?: unknown) => boolean
}

/** pg.Client with its query() as loosely typed as its overloads are in truth. */
type QueryableClass = new (
  config?: object
) => {
  query(first: unknown, second?: unknown, third?: unknown): unknown
  getTransactionStatus(): string | null
}

export type InnerPoolClass = new (options: object) => InnerPool

export interface NodePoolOwner {
  readonly clock: Clock
  readonly PoolClass: InnerPoolClass
  readonly Client: ClientClass
  clientConfig(node: Node): Record<string, unknown>
  /** Every event of the inner pool, to be emitted by the outer one. pg-pool's events have one or two arguments. */
  relay(pool: NodePool, event: string, first: unknown, second: unknown): boolean
  ended(text: string): void
  acknowledged(text: string | null): void
  defines(text: string): boolean
  defined(): void
  legible(is: boolean): void
  accused(node: Node, failure: Failure): void
  isReplica(key: NodeKey): boolean
  /** The holder of a client of a replica sends this. */
  noteReplica(client: Client, first: unknown): void
  /** A connection hook tried to write on a replica. */
  hookRefused(): void
  /** Lends replicas to checked-out clients; null: they never borrow. */
  readonly lender: Lender | null
}

export class NodePool {
  readonly key: NodeKey
  readonly generation: number
  readonly inner: InnerPool
  readonly #owner: NodePoolOwner
  readonly #node: Node
  #condemned = false
  #ended: Promise<void> | null = null

  constructor(node: Node, owner: NodePoolOwner) {
    this.key = node.key
    this.generation = node.generation
    this.#node = node
    this.#owner = owner
    const config = owner.clientConfig(node)
    const hooks = guarded(config, () => owner.isReplica(node.key), owner.clock)
    this.inner = new owner.PoolClass({ ...config, ...hooks, Client: this.#clientClass() })
    this.inner.emit = (event, first, second) => owner.relay(this, event, first, second)
  }

  get condemned(): boolean {
    return this.#condemned
  }

  /**
   * Each physical client is watched from its first byte, and always has an error listener: a killed backend must not end the
   * process. What a hook sends to a replica is looked after.
   */
  #clientClass(): ClientClass {
    const owner = this.#owner
    const { key, address } = this.#node
    const Base = address.origin === 'configured' ? owner.Client : withoutWeakAuth(owner.Client)
    const accuse = (error: unknown) => this.#accuse(failureOf(error, 'idle'))
    const events: WireEvents = {
      ended: owner.ended,
      acknowledged: owner.acknowledged,
      defines: owner.defines,
      defined: owner.defined,
      legible: owner.legible,
      standby: (is) => {
        if (is) this.#accuse(failureOf(notPrimary(key), 'idle'))
      },
    }
    return class Client extends (Base as unknown as QueryableClass) {
      readonly #wire: Wire
      readonly #borrower: Borrower | null
      constructor(config?: object) {
        super(config)
        const client = this as unknown as pg.Client
        const send = (a: unknown, b: unknown, c: unknown) => super.query(a, b, c)
        const status = () => super.getTransactionStatus()
        this.#wire = watch(client, owner.clock, events)
        this.#borrower = owner.lender === null ? null : new Borrower(client, send, status, owner.lender)
        client.on('error', accuse)
        client.on('error', (error) => this.#borrower?.failed(error))
        client.on('end', () => this.#borrower?.ended())
      }

      override getTransactionStatus(): string | null {
        return this.#borrower === null ? super.getTransactionStatus() : this.#borrower.status
      }

      override query(first: unknown, second: unknown, third: unknown): unknown {
        const { sending, held } = this.#wire
        if (sending) return super.query(first, second, third)
        const replica = owner.isReplica(key)
        if (replica && held) owner.noteReplica(this as unknown as pg.Client, first)
        if (!replica && this.#borrower !== null) {
          if (held) return this.#borrower.query(first, second, third)
          this.#borrower.noteHook(first)
        }
        if (held || !replica) return super.query(first, second, third)
        return lookedAfter((a, b, c) => super.query(a, b, c), [first, second, third], owner.hookRefused)
      }
    } as unknown as ClientClass
  }

  #accuse(failure: Failure): void {
    if (failure.accuses && !this.#condemned) this.#owner.accused(this.#node, failure)
  }

  /** A client of this node, ready and of the role that was asked for. */
  connect(place: Place, wishes: Wishes = {}): Promise<PoolClient> {
    return new Promise((resolve, reject) => {
      this.#acquire(place, reject, (client, wire) => {
        const give = () => {
          wire.held = true
          borrowerOf(client)?.held(wishes)
          resolve(client)
        }
        if (needsProof(place, wire)) this.#prove(client, wire, place, give, reject)
        else give()
      })
    })
  }

  /** One statement on a client of its own, as pg.Pool's query(): released when done, removed when it failed. */
  query(place: Place, args: QueryArgs, reading: boolean, notice?: Notice): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#acquire(place, reject, (client, wire) => {
        if (args.signal?.aborted) {
          client.release()
          return reject(args.signal.reason)
        }
        const run = () => {
          if (notice === undefined) this.#dispatch(client, wire, place, args, reading, resolve, reject)
          else
            this.#overheard(client, notice, resolve, reject, (...ends) =>
              this.#dispatch(client, wire, place, args, reading, ...ends)
            )
        }
        if (needsProof(place, wire)) this.#prove(client, wire, place, run, reject)
        else run()
      })
    })
  }

  #acquire(place: Place, reject: (error: unknown) => void, use: (client: PoolClient, wire: Wire) => void): void {
    if (this.#condemned) {
      reject(dropped(this.key))
      return
    }
    this.inner.connect((error, client, release) => {
      if (error !== undefined && error !== null) return reject(this.#condemned ? dropped(this.key) : error)
      const wire = client === undefined ? undefined : wireOf(client)
      if (client === undefined || wire === undefined) return reject(new Error('the pool gave no client of ours'))
      if (!this.#condemned && !isDemoted(place, wire)) {
        if (wire.released) this.#settled(client, wire, place, reject, use)
        else use(client, wire)
        return
      }
      release(true)
      reject(this.#condemned ? dropped(this.key) : notPrimary(this.key))
    })
  }

  /** What its last holder has sent is over, and no transaction of that holder is open. */
  #settled(
    client: PoolClient,
    wire: Wire,
    place: Place,
    reject: (error: unknown) => void,
    use: (client: PoolClient, wire: Wire) => void
  ): void {
    const check = () => {
      if (isLeftInTransaction(client)) {
        client.release(true)
        this.#acquire(place, reject, use)
      } else use(client, wire)
    }
    const ready = () => void whenReady(client).then(check)
    const borrower = borrowerOf(client)
    wire.released = false
    if (borrower !== undefined) borrower.whenFree(ready)
    else ready()
  }

  #dispatch(
    client: PoolClient,
    wire: Wire,
    place: Place,
    args: QueryArgs,
    reading: boolean,
    resolve: (result: unknown) => void,
    reject: (error: unknown) => void
  ): void {
    let settled = false
    const { signal } = args
    const aborted = () => {
      // The caller is answered at once; the client comes back when its server has said what became of the statement.
      void this.cancel(client)
      reject(signal?.reason)
    }
    const settle = (error: Error | null | undefined, result: unknown) => {
      if (settled) return
      settled = true
      client.removeListener('error', settle)
      signal?.removeEventListener('abort', aborted)
      if (error && place.phase === 'handed' && wire.completed) place.phase = 'completed'
      wire.reading = null
      // A cancel request may come late: the next statement must not be the one that it hits.
      client.release(signal?.aborted ? true : (error as Error))
      if (error) reject(error)
      else resolve(result)
    }
    client.once('error', settle)
    signal?.addEventListener('abort', aborted)
    wire.reading = reading
    wire.held = false
    if (!reading) borrowerOf(client)?.notePool(args)
    wire.sending = true
    try {
      place.phase = 'handed'
      // The callback form takes exactly what the user gave, submittables included.
      const { query } = client as unknown as { query(first: unknown, second: unknown, done: typeof settle): void }
      query.call(client, args.query, args.values, settle)
    } catch (error) {
      place.phase = 'connect'
      settle(error as Error, undefined)
    } finally {
      wire.sending = false
    }
  }

  /** Notices of the statement are told to whoever it is run for. */
  #overheard(
    client: PoolClient,
    notice: Notice,
    resolve: (result: unknown) => void,
    reject: (error: unknown) => void,
    run: (resolve: (result: unknown) => void, reject: (error: unknown) => void) => void
  ): void {
    client.on('notice', notice)
    const ending = <T>(end: (value: T) => void) => {
      return (value: T) => {
        client.removeListener('notice', notice)
        end(value)
      }
    }
    run(ending(resolve), ending(reject))
  }

  /** A connection younger than its node's known position may lead to a server that crashed and went backwards: it shows its own. */
  #prove(client: PoolClient, wire: Wire, place: Place, run: () => void, reject: (error: unknown) => void): void {
    wire.reading = true
    const text = 'select pg_last_wal_replay_lsn()::text as lsn'
    wire.sending = true
    client.query<{ lsn: string | null }>(text, (error, result) => {
      wire.reading = null
      wire.proven = error ? null : parseLsn(result.rows[0]?.lsn)
      if (wire.proven !== null && place.required !== null && wire.proven >= place.required) return run()
      client.release(error ?? undefined)
      reject(
        error ?? new PgherdError('PGHERD_STALE', `a new connection to ${this.key} is behind the position it must have`)
      )
    })
    wire.sending = false
  }

  /** Asks the server to cancel what this client is doing. */
  cancel(client: Client): Promise<void> {
    return cancel(client, this.#owner.Client, this.#owner.clientConfig(this.#node), this.#owner.clock)
  }

  /** Called while it is being released: it is not kept. */
  expire(client: Client): void {
    this.inner._expired?.add(client)
  }

  /** Nothing that was handed to this node may still happen; who was only waiting is told that nothing was sent. */
  condemn(): void {
    if (this.#condemned) return
    this.#condemned = true
    const clients = [...this.inner._clients]
    void this.end(dropped(this.key))
    for (const client of clients) reset(client)
  }

  /** Takes no more statements, tells `reason` to those that wait for a client, and waits for those under way. */
  end(reason: Error): Promise<void> {
    // pg-pool never answers who waits when it ends.
    for (const { callback } of this.inner._pendingQueue.splice(0)) callback(reason, undefined, () => {})
    this.#ended ??= this.inner.end()
    return this.#ended
  }

  /** The node is no longer listed: who waits for it is sent elsewhere. */
  leave(): Promise<void> {
    this.#condemned = true
    return this.end(dropped(this.key))
  }
}

/** The session said 'standby' after the probe that made its node the primary: the node has changed since. */
function isDemoted({ node }: Place, { standby, standbyAt }: Wire): boolean {
  if (node.state.kind !== 'primary' || standby !== true || standbyAt === null) return false
  return node.probedAt !== null && standbyAt.mono > node.probedAt.mono
}

function needsProof({ required, node }: Place, wire: Wire): boolean {
  if (required === null || node.state.kind !== 'replica') return false
  if (wire.proven !== null && wire.proven >= required) return false
  const askedAt = node.state.position?.askedAt
  return wire.readyAt === null || askedAt === undefined || wire.readyAt.mono >= askedAt.mono
}

export function dropped(key: NodeKey): PgherdError {
  return new PgherdError('PGHERD_DROPPED', `the connections to ${key} were given up before the statement was sent`)
}

function notPrimary(key: NodeKey): PgherdError {
  return new PgherdError('PGHERD_NOT_PRIMARY', `${key} is in recovery: it is no primary`)
}
