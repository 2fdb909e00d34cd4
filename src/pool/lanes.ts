// The lanes of one replica: which read may share a connection, which lane it takes, when another is opened, and when one gives its
// connection back. At most half of the node's connections are lanes.

import type { Client, PoolClient } from 'pg'
import type { Node } from '../core/cluster/node.js'
import type { ServerSession } from '../core/session/server-session.js'
import type { Verdict } from '../core/sql/classify.js'
import type { Attempt } from '../herd/herd.js'
import { addUses, isAwaited, isExhausted, isSpent } from '../pg/inner.js'
import type { InnerPool } from '../pg/internals.js'
import { isNameTaken } from '../pg/pipelined.js'
import type { Statement } from '../router/statement.js'
import type { Clock } from '../runtime/clock.js'
import { Lane } from './lane.js'
import type { LaneOwner, Shared } from './lane-owner.js'
import type { Parts } from './parts.js'
import type { LaneRead } from './ride.js'
import { MANY_ROWS, SLOW_MILLIS, SlowShapes } from './slow-shapes.js'

/** What the lanes ask of the connections of their node. */
export interface LaneHost {
  readonly parts: Parts
  readonly node: Node
  readonly inner: InnerPool
  hasLeft(place: Attempt, session: ServerSession): boolean
  leaves(client: PoolClient, place: Attempt): Error
  left(place: Attempt): Error
  cancel(client: Client): Promise<void>
  cancelOnce(client: Client): Promise<void>
  /** Sends a read on a connection of its own, or on a lane that this becomes. */
  alone(read: LaneRead): void
}

/** A lane that rests so long gives its connection back. */
const REST_MILLIS = 1000
/** So many reads in line on the only lane open a second one. */
const DEEP = 4
/** A read that would wait longer, in milliseconds, takes another connection, where there is one. */
const LONGEST_WAIT_MILLIS = 1

export class Lanes implements LaneOwner {
  readonly parts: Parts
  readonly node: Node
  readonly clock: Clock
  readonly #host: LaneHost
  readonly #most: number
  readonly #lanes: Lane[] = []
  readonly #shapes = new SlowShapes()
  readonly #mayShare = new WeakMap<Verdict, boolean>()
  #isOver = false

  constructor(host: LaneHost) {
    this.#host = host
    this.parts = host.parts
    this.node = host.node
    this.clock = host.parts.clock
    this.#most = host.parts.pipelines ? Math.floor(host.inner.options.max / 2) : 0
  }

  /** Lanes at rest: as good as idle connections. */
  get resting(): number {
    let resting = 0
    for (const lane of this.#lanes) if (lane.rests) resting++
    return resting
  }

  /** A lane would take it now. */
  takes(statement: Statement, place: Attempt): boolean {
    if (this.#lanes.length === 0 || this.fit(statement, place) !== 'quick') return false
    const lane = this.#quickest(this.clock.mono(), null)
    return lane !== null && mayName(lane, statement)
  }

  /** May it share a connection? One plain statement that only reads, quick as far as is known, with nothing that outlives it. */
  fit({ class: verdict, text, query, values }: Statement, { node }: Attempt): 'quick' | 'slow' | 'never' {
    if (this.#most === 0 || verdict === null || text === null || node.state.kind !== 'replica') return 'never'
    if (values !== undefined && values !== null && !Array.isArray(values)) return 'never'
    if (typeof query === 'object' && !isPlainConfig(query)) return 'never'
    let mayShare = this.#mayShare.get(verdict)
    if (mayShare === undefined) {
      mayShare = verdict.single && text !== '' && !/\bcopy\b/i.test(text)
      this.#mayShare.set(verdict, mayShare)
    }
    if (!mayShare) return 'never'
    return this.#shapes.isSlow(text) ? 'slow' : 'quick'
  }

  /** Sends the read, if a lane takes it. False: it is to have a connection of its own, perhaps to become a lane. */
  take(read: LaneRead): boolean {
    const lane = this.#best(null)
    if (lane === null || !mayName(lane, read.statement)) return false
    lane.send(read)
    return true
  }

  /** The lane where a read waits least; null: another connection serves it better. */
  #best(beside: Shared | null): Lane | null {
    const now = this.clock.mono()
    const lane = this.#quickest(now, beside)
    if (lane === null || lane.depth === 0 || isExhausted(this.#host.inner)) return lane
    if (this.#lanes.length === 1 && this.#most > 1 && lane.depth >= DEEP) return null
    return lane.waitAt(now) > LONGEST_WAIT_MILLIS ? null : lane
  }

  /** Of those that are not stuck. */
  #quickest(now: number, beside: Shared | null): Lane | null {
    let quickest: Lane | null = null
    let shortest = Infinity
    for (const lane of this.#lanes) {
      if (lane === beside || !lane.isOpen) continue
      const wait = lane.waitAt(now)
      if (wait < shortest) {
        quickest = lane
        shortest = wait
      }
    }
    return quickest
  }

  /** The connection that a read has got may be a lane from now on. */
  get wants(): boolean {
    return !this.#isOver && this.#lanes.length < this.#most && !isAwaited(this.#host.inner)
  }

  open(client: PoolClient, session: ServerSession, first: LaneRead): void {
    const lane = new Lane(this, client, session)
    this.#lanes.push(lane)
    lane.send(first)
  }

  /** A connection is wanted, and there is none: a lane at rest gives its own up, else one does when it is drained. */
  makeRoom(isForRead: boolean): void {
    if (this.#lanes.length === 0 || !isExhausted(this.#host.inner)) return
    if (this.#lanes.some((lane) => lane.isClosing)) return
    const lane =
      this.#lanes.find((each) => each.rests) ?? (isForRead && this.#lanes.length === 1 ? undefined : this.#shallowest)
    lane?.close()
  }

  get #shallowest(): Lane | undefined {
    return this.#lanes.reduce<Lane | undefined>(
      (least, each) => (least && least.depth <= each.depth ? least : each),
      undefined
    )
  }

  /** No more lanes; those that there are give their connections back when they are drained. */
  end(): void {
    this.#isOver = true
    for (const lane of [...this.#lanes]) lane.close()
  }

  /** Those at rest give their connections back. */
  yield(): void {
    for (const lane of [...this.#lanes]) if (lane.rests) lane.close()
  }

  // What its lanes ask.

  hasLeft(place: Attempt, session: ServerSession): boolean {
    return this.#host.hasLeft(place, session)
  }

  leaves(client: PoolClient, place: Attempt): Error {
    return this.#host.leaves(client, place)
  }

  left(place: Attempt): Error {
    return this.#host.left(place)
  }

  cancel(client: Client): Promise<void> {
    return this.#host.cancel(client)
  }

  cancelOnce(client: Client): Promise<void> {
    return this.#host.cancelOnce(client)
  }

  elsewhere(read: LaneRead, from: Shared, mustWait: boolean): boolean {
    const lane = this.#best(from)
    if (lane !== null && mayName(lane, read.statement)) lane.send(read)
    else if (mustWait || !isExhausted(this.#host.inner)) this.#host.alone(read)
    else return false
    return true
  }

  took({ text }: Statement, result: unknown, millis: number): void {
    const { rows } = (result ?? {}) as { readonly rows?: readonly unknown[] }
    const isLarge = rows !== undefined && rows.length > MANY_ROWS
    if (text !== null) this.#shapes.took(text, isLarge ? Math.max(millis, 2 * SLOW_MILLIS) : millis)
  }

  isDone(lane: Shared, restMillis: number): boolean {
    const { inner } = this.#host
    return restMillis > REST_MILLIS || isAwaited(inner) || isSpent(inner, lane.client, lane.uses)
  }

  closed(lane: Shared): void {
    const at = this.#lanes.findIndex((each) => each === lane)
    if (at >= 0) this.#lanes.splice(at, 1)
    addUses(lane.client, Math.max(0, lane.uses - 1))
  }
}

/** The name of a prepared statement is free on the lane, or means this text there. */
function mayName({ client }: Lane, { query, text }: Statement): boolean {
  const { name } = query as { readonly name?: unknown }
  return typeof name !== 'string' || name === '' || !isNameTaken(client, name, text ?? '')
}

/** Nothing in it outlives the statement, or is refused by pg. */
function isPlainConfig(query: object | null): boolean {
  const { name, values, rows, portal } = query as Readonly<Record<string, unknown>>
  if (rows || portal || (name && typeof name !== 'string')) return false
  return values === undefined || values === null || Array.isArray(values)
}
