// The lanes of one replica: which read may share a connection, which lane it takes, when another is opened, and when one gives its
// connection back. At most half of the node's connections are lanes.

import type { Client, PoolClient } from 'pg'
import type { Node } from '../core/cluster/node.js'
import type { ServerSession } from '../core/session/server-session.js'
import type { Verdict } from '../core/sql/classify.js'
import { COLD_MILLIS, SlowShapes } from '../core/sql/slow-shapes.js'
import type { Attempt } from '../herd/herd.js'
import { addUses, hasIdle, hasRoom, isAwaited, isSpent, waitersOf } from '../pg/inner.js'
import type { InnerPool } from '../pg/internals.js'
import { isNameTaken } from '../pg/prepared.js'
import { isFree } from '../pg/turn.js'
import type { Statement } from '../router/statement.js'
import type { Clock } from '../runtime/clock.js'
import { Lane } from './lane.js'
import type { LaneOwner, Shared } from './lane-owner.js'
import type { Parts } from './parts.js'
import { type LaneRead, rowsIn } from './ride.js'

/** What the lanes ask of the connections of their node. */
export interface LaneHost {
  readonly parts: Parts
  readonly node: Node
  readonly inner: InnerPool
  hasLeft(place: Attempt, session: ServerSession): boolean
  left(place: Attempt): Error
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
  /** Connections that reads wait for, which may become lanes. */
  #coming = 0

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
    const lane = this.#quickest(null)
    return lane !== null && mayName(lane, statement)
  }

  /**
   * May it share a connection? One plain statement that only reads, quick as far as is known, with nothing that outlives it. Not where the
   * application listens to each use of a connection: it may set the connection up for that one.
   */
  fit({ class: verdict, text, query, values }: Statement, { node, isHedge }: Attempt): 'quick' | 'slow' | 'never' {
    if (this.#most === 0 || isHedge || this.parts.isHeard() || verdict === null || text === null) return 'never'
    if (node.state.kind !== 'replica') return 'never'
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
    const { inner } = this.#host
    const lane = this.#quickest(beside)
    if (lane === null || lane.depth === 0 || !hasRoom(inner)) return lane
    // One login at a time: a lane is quicker than that.
    if (this.#coming > 0 && !hasIdle(inner)) return lane
    if (this.#lanes.length === 1 && this.#most > 1 && lane.depth >= DEEP) return null
    return lane.wait > LONGEST_WAIT_MILLIS ? null : lane
  }

  /** Of those that are not stuck. */
  #quickest(beside: Shared | null): Lane | null {
    let quickest: Lane | null = null
    let shortest = Infinity
    for (const lane of this.#lanes) {
      if (lane === beside || !lane.isOpen) continue
      const { wait } = lane
      if (wait < shortest) {
        quickest = lane
        shortest = wait
      }
    }
    return quickest
  }

  /** The connection that a read has got may be a lane from now on: no hook of the application's has left something under way. */
  wants(client: Client): boolean {
    return !this.#isOver && this.#lanes.length < this.#most && !isAwaited(this.#host.inner) && isFree(client)
  }

  /** A read asks for a connection that may become a lane. Gives what to call when it has one, or gets none. */
  awaits(): () => void {
    this.#coming++
    let isOver = false
    return () => {
      if (!isOver) this.#coming--
      isOver = true
    }
  }

  /** A read on a connection of its own, and what to call when it has that: how long it takes is looked at from then on. */
  timed(read: LaneRead): readonly [LaneRead, () => void] {
    let from = 0
    const resolve = (result: unknown) => {
      this.#shapes.took(read.statement.text ?? '', rowsIn(result), this.clock.mono() - from)
      read.resolve(result)
    }
    const began = () => {
      from = this.clock.mono()
    }
    return [{ ...read, resolve }, began]
  }

  open(client: PoolClient, session: ServerSession, first: LaneRead): void {
    const lane = new Lane(this, client, session)
    this.#lanes.push(lane)
    lane.send(first)
  }

  /** A connection is wanted, and there is none: a lane at rest gives its own up, else one does when it is drained. */
  makeRoom(isForRead: boolean): void {
    // Another connection is not dialed beside one that rests: a login may fail where a session lives.
    if (!hasIdle(this.#host.inner)) this.#lanes.find((lane) => lane.rests)?.close()
    this.#giveUp(waitersOf(this.#host.inner) + 1, isForRead)
  }

  /** As many as callers wait for connections; those that are stuck last. Reads leave one of those that are in use. */
  #giveUp(wanted: number, isForRead: boolean): void {
    if (this.#lanes.length === 0 || hasRoom(this.#host.inner)) return
    let missing = wanted
    for (const lane of this.#lanes) if (lane.isClosing && lane.wait < Infinity) missing--
    const open = this.#lanes.filter((lane) => !lane.isClosing).sort((a, b) => a.wait - b.wait)
    const busy = open.filter((lane) => !lane.rests)
    const most = open.length - (isForRead && busy.length > 0 ? 1 : 0)
    const inTurn = [...open.filter((lane) => lane.rests), ...busy]
    for (const lane of inTurn.slice(0, Math.max(0, Math.min(missing, most)))) lane.close()
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

  left(place: Attempt): Error {
    return this.#host.left(place)
  }

  cancelOnce(client: Client): Promise<void> {
    return this.#host.cancelOnce(client)
  }

  elsewhere(read: LaneRead, from: Shared, mustWait: boolean): boolean {
    const lane = this.#best(from)
    if (lane !== null && mayName(lane, read.statement)) lane.send(read)
    else if (mustWait || hasRoom(this.#host.inner)) this.#host.alone(read)
    else return false
    return true
  }

  took({ uses }: Shared, { text }: Statement, rows: number, millis: number): void {
    const isCold = uses === 1 && millis < COLD_MILLIS
    if (text !== null && !isCold) this.#shapes.took(text, rows, millis)
  }

  get mayExit(): boolean {
    return this.#host.inner.options.allowExitOnIdle === true
  }

  delays(): void {
    this.#giveUp(waitersOf(this.#host.inner), false)
  }

  isSpent({ client, uses }: Shared): boolean {
    return isSpent(this.#host.inner, client, uses)
  }

  isDone(lane: Shared, restMillis: number): boolean {
    return restMillis > REST_MILLIS || isAwaited(this.#host.inner) || this.isSpent(lane)
  }

  closed(lane: Shared): void {
    const at = this.#lanes.indexOf(lane as Lane)
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
