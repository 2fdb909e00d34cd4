// One connection that plain reads share: each is sent behind the one before, without waiting for its answer. Answers come in the order of
// the statements, so the oldest read that is not answered, the head, is what the server is at work on. Chooses no node, and no lane.

import type { PoolClient } from 'pg'
import type { ServerSession } from '../core/session/server-session.js'
import { errorOf } from '../core/thrown.js'
import type { Attempt } from '../herd/herd.js'
import { ask } from '../pg/own-query.js'
import { Pipelined } from '../pg/pipelined.js'
import { isGone } from '../pg/socket.js'
import type { Alarm } from '../runtime/clock.js'
import { beforeOn, judge } from './judging.js'
import { LaneCancel } from './lane-cancel.js'
import type { LaneOwner, Shared } from './lane-owner.js'
import { needsProof, shownBy } from './proof.js'
import { REPLAYED } from './questions.js'
import { staleError } from './refusals.js'
import { firstOf, goneOf, type LaneRead, Ride } from './ride.js'
import { STRAIGHT, type Straight } from './site.js'

/** So often a lane in use is looked at, and so long a head may take before the reads behind it go elsewhere. */
const LOOK_MILLIS = 10
/** So often one at rest is looked at. */
const REST_LOOK_MILLIS = 50
/** How much the newest measurement counts for the pace of a lane. */
const SHARE = 0.05

export class Lane implements Shared {
  readonly client: PoolClient
  readonly session: ServerSession
  readonly #owner: LaneOwner
  readonly #pipe: Pipelined
  readonly #cancel: LaneCancel
  readonly #rides: Ride[] = []
  readonly #failed = (error?: unknown) => this.#broken(error)
  readonly #notice = (message: unknown) => this.#rides[0]?.read.sending?.notice(message)
  #alarm: Alarm | null = null
  #isSlowAlarm = false
  /** Reads that pg has refused, or something has held back: sent or not, their answers are yet to be told. */
  #strays = 0
  /** Since when the head is the head, or the lane is empty, on the monotonic clock. */
  #since = 0
  /** Milliseconds that a read takes its turn here, on average. */
  #pace = 0.1
  #isClosing = false
  #isClosed = false
  #uses = 0

  constructor(owner: LaneOwner, client: PoolClient, session: ServerSession) {
    this.#owner = owner
    this.client = client
    this.session = session
    this.#since = owner.clock.mono()
    session.carries()
    this.#cancel = new LaneCancel(owner, client, () => {
      if (this.#rides.length === 0 && !this.#isClosed) this.#emptied()
    })
    this.#pipe = new Pipelined(client, () => this.#answered())
    client.on('error', this.#failed)
    client.on('end', this.#failed)
    client.on('notice', this.#notice)
    this.#look(REST_LOOK_MILLIS)
  }

  get depth(): number {
    return this.#rides.length
  }

  get uses(): number {
    return this.#uses
  }

  /** It takes another read now. */
  get isOpen(): boolean {
    return !this.#isClosing && !this.#cancel.isUnderWay && !isGone(this.client)
  }

  get isClosing(): boolean {
    return this.#isClosing
  }

  get rests(): boolean {
    return this.#rides.length === 0 && this.#strays === 0 && !this.#cancel.isUnderWay && this.#pipe.isDrained
  }

  /** Milliseconds that a read which is sent now waits for those before it, as far as that can be told; Infinity: the head is stuck. */
  waitAt(now: number): number {
    const { length } = this.#rides
    if (length === 0) return 0
    return now - this.#since > LOOK_MILLIS ? Infinity : length * this.#pace
  }

  send(read: LaneRead): void {
    const { place, statement, sending } = read
    const { client, session } = this
    const gone = goneOf(read)
    if (gone !== null) {
      read.reject(gone.error)
      return
    }
    if (this.#owner.hasLeft(place, session)) {
      read.reject(this.#left(place))
      return
    }
    const ride = new Ride(read, beforeOn(client))
    if (this.#rides.length === 0) this.#since = this.#owner.clock.mono()
    if (this.#isSlowAlarm) this.#look(LOOK_MILLIS)
    this.#uses++
    this.#pipe.hold()
    if (needsProof(place, session)) this.#guard(ride)
    if (statement.signal !== undefined || sending !== undefined) ride.listens((reason) => this.#giveUp(ride, reason))
    const before = this.#pipe.unanswered
    let [isTold, isStray] = [false, false]
    const told = (error: Error | null | undefined, result: unknown) => {
      if (isTold) return
      isTold = true
      if (isStray) this.#strays--
      this.#told(ride, error, result)
    }
    place.phase = 'handed'
    try {
      // Past what wraps the method of this very client, as anywhere.
      ;(client as unknown as Straight)[STRAIGHT](firstOf(read, client), statement.values, told)
    } catch (error) {
      told(errorOf(error, 'query()') as Error, undefined)
    }
    const isSent = this.#pipe.unanswered > before
    // Its guard may have gone alone.
    if (!isSent) ride.answers--
    if (ride.answers > 0) this.#rides.push(ride)
    if (isSent || isTold) return
    // pg refuses it, or something in between keeps it: what is under way here is not known any more.
    isStray = true
    this.#strays++
    this.close()
  }

  /** In one trip with the read: how far the replica is. */
  #guard(ride: Ride): void {
    const { place } = ride.read
    const askedAt = this.#owner.clock.now()
    ride.answers = 2
    ride.guard = 'stale'
    ask(this.client, REPLAYED, (_, [row]) => {
      ride.guard = shownBy(this.#owner, this.session, place, askedAt, row?.answer)
      if (ride.guard === 'stale') this.#stale(ride)
    })
  }

  /** Nothing has been done for the caller: the rows will not be looked at. */
  #stale(ride: Ride): void {
    if (ride.isOver) return
    ride.over()
    const { place, reject } = ride.read
    place.phase = 'connect'
    place.source = 'pgherd'
    reject(staleError(place.node.key))
  }

  #told(ride: Ride, error: Error | null | undefined, result: unknown): void {
    if (ride.isOver) return
    const { place, statement } = ride.read
    if (!error) {
      this.#passed(ride, result)
      return
    }
    judge(error, place, statement, this.client, this.session, ride.before)
    // The server says behind its error whether it still is what it was.
    if (typeof place.source === 'object' && !isGone(this.client)) ride.error = { error }
    else this.#fail(ride, error)
  }

  #passed(ride: Ride, result: unknown): void {
    const { read, guard } = ride
    const pass = () => {
      ride.over()
      read.resolve(result)
    }
    this.#owner.took(read.statement, result, this.#owner.clock.mono() - this.#since)
    if (this.#owner.hasLeft(read.place, this.session)) this.#fail(ride, this.#left(read.place))
    else if (guard === 'stale') this.#stale(ride)
    else if (guard instanceof Promise) guard.then((is) => (is ? pass() : this.#stale(ride)), read.reject)
    else pass()
  }

  #fail(ride: Ride, error: unknown): void {
    if (ride.isOver) return
    ride.over()
    ride.read.reject(error)
  }

  /** The server's error, behind which it is ready again. */
  #failedBy(ride: Ride, error: unknown): void {
    if (ride.isOver) return
    const { place, statement } = ride.read
    if (this.#owner.hasLeft(place, this.session)) {
      this.#fail(ride, this.#left(place))
      return
    }
    const { code } = error as { readonly code?: unknown }
    // The name of a statement whose first sender has failed; a cancel request that came late, for another's statement.
    const isOthers = (code === '26000' && statement.isNamed) || (code === '57014' && this.#cancel.isUnderWay)
    if (isOthers) {
      ride.over()
      if (this.#owner.elsewhere(ride.read, this, true)) return
      ride.isOver = false
    }
    this.#fail(ride, error)
    if (!this.session.remains.mayStay(true)) this.close()
  }

  #left(place: Attempt): Error {
    this.close()
    return this.#owner.left(place)
  }

  /** The server is ready for the next. */
  #answered(): void {
    const [ride] = this.#rides
    if (ride === undefined || --ride.answers > 0) return
    this.#rides.shift()
    const now = this.#owner.clock.mono()
    this.#pace += (now - this.#since - this.#pace) * SHARE
    this.#since = now
    if (ride.error !== null) this.#failedBy(ride, ride.error.error)
    this.#cancel.headChanged()
    if (this.#rides.length === 0) this.#emptied()
  }

  #emptied(): void {
    if (this.#isClosing || this.#owner.isDone(this, 0)) this.close()
  }

  /** The caller is answered at once; what the server does for it is ended only if it is at work on that. */
  #giveUp(ride: Ride, reason: unknown): void {
    if (ride.isOver) return
    ride.over()
    ride.read.reject(reason)
    if (ride === this.#rides[0]) this.#endOf(ride)
  }

  /** No caller waits for the head any more. */
  #endOf(ride: Ride): void {
    void this.#cancel.end(() => ride === this.#rides[0] && !this.#isClosed)
  }

  #look(millis: number): void {
    this.#alarm?.cancel()
    this.#isSlowAlarm = millis === REST_LOOK_MILLIS
    this.#alarm = this.#owner.clock.alarm(millis, () => this.#looked())
  }

  #looked(): void {
    const [head] = this.#rides
    const age = this.#owner.clock.mono() - this.#since
    if (head !== undefined) this.#lookAt(head, age)
    else if (this.rests && (this.#isClosing || this.#owner.isDone(this, age))) {
      this.close()
      return
    }
    this.#look(head === undefined && age > LOOK_MILLIS ? REST_LOOK_MILLIS : LOOK_MILLIS)
  }

  #lookAt(head: Ride, age: number): void {
    if (age > this.#timeoutOf(head)) this.#giveUp(head, new Error('Query read timeout'))
    if (age <= LOOK_MILLIS) return
    // Its caller gave up while it waited.
    if (head.isOver && head.error === null) this.#endOf(head)
    for (const ride of this.#rides.slice(1)) this.#move(ride)
  }

  #timeoutOf({ read }: Ride): number {
    const own = (read.statement.query as { readonly query_timeout?: unknown }).query_timeout
    return Number(own) || this.#pipe.timeoutMillis || Infinity
  }

  /** A read does no harm twice: its answer here is dropped. */
  #move(ride: Ride): void {
    if (ride.isOver || !this.#owner.elsewhere(ride.read, this, false)) return
    ride.over()
  }

  /** The connection has ended, or is no good. */
  #broken(given: unknown): void {
    if (this.#isClosed) return
    const error = given ?? new Error('Connection terminated')
    const rides = this.#rides.splice(0)
    this.#finish(error)
    for (const ride of rides) {
      if (ride.isOver) continue
      const own = ride.error === null ? error : ride.error.error
      const { place, statement } = ride.read
      if (ride.error === null) judge(own, place, statement, this.client, this.session, ride.before)
      this.#fail(ride, own)
    }
  }

  /** Takes no more reads, and gives its connection back when the last is answered. */
  close(): void {
    this.#isClosing = true
    if (this.rests) this.#finish(undefined)
  }

  #finish(error: unknown): void {
    if (this.#isClosed) return
    this.#isClosed = this.#isClosing = true
    this.#alarm?.cancel()
    this.#cancel.headChanged()
    const { client } = this
    client.removeListener('error', this.#failed)
    client.removeListener('end', this.#failed)
    client.removeListener('notice', this.#notice)
    this.#pipe.close()
    this.session.ends()
    this.#owner.closed(this)
    const isPromoted = this.session.standby === false
    client.release((error as Error | undefined) ?? (isPromoted ? true : undefined))
  }
}
