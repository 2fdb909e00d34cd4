// One connection that plain reads share: each is sent behind the one before, without waiting for its answer. Answers come in the order of
// the statements, so the oldest read that is not answered, the head, is what the server is at work on. Chooses no node, and no lane.

import type { PoolClient } from 'pg'
import { isOfAnother, preparedIn } from '../core/session/neighbours.js'
import type { ServerSession } from '../core/session/server-session.js'
import { errorOf, propertyOf } from '../core/thrown.js'
import type { Attempt } from '../herd/herd.js'
import { ask } from '../pg/own-query.js'
import { Pipelined } from '../pg/pipelined.js'
import { forgetName } from '../pg/prepared.js'
import { isGone } from '../pg/socket.js'
import { REPLAYED } from '../router/questions.js'
import type { Alarm } from '../runtime/clock.js'
import { beforeOn, judge } from './judging.js'
import { LaneCancel } from './lane-cancel.js'
import type { LaneOwner, Shared } from './lane-owner.js'
import { needsProof, shownBy } from './proof.js'
import { staleError } from './refusals.js'
import { firstOf, goneOf, type LaneRead, nameOf, Ride, rowsIn, timeoutOf } from './ride.js'
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
  readonly #rides: Ride[] = []
  readonly #failed = (error?: unknown) => this.#broken(error)
  readonly #notice = (message: unknown) => {
    // What was sent again has its notices there.
    const [head] = this.#rides
    if (head?.isOver === false) head.read.sending?.notice(message)
  }
  readonly #cancel: LaneCancel
  #alarm: Alarm | null = null
  #isSlowAlarm = false
  /** Reads that pg has refused, or something has held back: sent or not, their answers are yet to be told. */
  #strays = 0
  /** Since when the head is the head, or the lane is empty, on the monotonic clock. */
  #since = 0
  /** Milliseconds between two answers, on average. */
  #pace = 0.1
  /** The head takes long. */
  #isStuck = false
  /** It takes no more reads. */
  isClosing = false
  #isClosed = false
  #uses = 0

  constructor(owner: LaneOwner, client: PoolClient, session: ServerSession) {
    this.#owner = owner
    this.client = client
    this.session = session
    this.#since = owner.clock.mono()
    session.carries()
    this.#pipe = new Pipelined(client, () => this.#answered())
    this.#cancel = new LaneCancel(owner, client, () => this.#emptied())
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
    return !this.isClosing && !this.#cancel.isUnderWay && !isGone(this.client)
  }

  get rests(): boolean {
    return this.#rides.length === 0 && this.#strays === 0 && !this.#cancel.isUnderWay && this.#pipe.isDrained
  }

  /** Milliseconds that a read which is sent now waits for those before it, as far as that can be told; Infinity: the head is stuck. */
  get wait(): number {
    return this.#isStuck ? Infinity : this.#rides.length * this.#pace
  }

  send(read: LaneRead): void {
    const { client, session } = this
    const { place, statement, sending } = read
    const refused = goneOf(read) ?? (this.#owner.hasLeft(place, session) ? { error: this.#left(place) } : null)
    if (refused !== null) return void read.reject(refused.error)
    const ride = new Ride(read, beforeOn(client))
    if (this.#rides.length === 0) this.#begins()
    else ride.isBehind = true
    this.#uses++
    this.#pipe.hold()
    if (needsProof(place, session)) this.#guard(ride)
    if (statement.signal !== undefined || sending !== undefined) ride.listens((reason) => this.#giveUp(ride, reason))
    const first = firstOf(read, client)
    ride.name = nameOf(first)
    const before = this.#pipe.unanswered
    let state: 'sending' | 'sent' | 'stray' = 'sending'
    let isTold = false
    const told = (error: Error | null | undefined, result: unknown) => {
      if (isTold) return
      isTold = true
      if (state === 'stray') {
        this.#strays--
        process.nextTick(() => this.#emptied())
      }
      this.#told(ride, error, result, state === 'sent')
    }
    ride.handed((reason) => this.#giveUp(ride, reason))
    try {
      // Past what wraps the method of this very client, as anywhere.
      ;(client as unknown as Straight)[STRAIGHT](first, statement.values, told)
    } catch (error) {
      told(errorOf(error, 'query()') as Error, undefined)
    }
    if (this.#pipe.unanswered > before) {
      state = 'sent'
      ride.isUnbound = isTold
      ride.last = this.#pipe.last
      this.#rides.push(ride)
      if (this.#owner.isSpent(this)) this.close()
    } else if (!isTold) {
      // pg refuses it, or something in between keeps it: what is under way here is not known any more.
      state = 'stray'
      this.#strays++
      this.close()
    }
  }

  /** It rests no longer. */
  #begins(): void {
    this.#since = this.#owner.clock.mono()
    if (this.#isSlowAlarm) this.#look(LOOK_MILLIS)
    if (this.#owner.mayExit) this.#pipe.keepsProcess(true)
  }

  /** In one trip with the read: how far the replica is. */
  #guard(ride: Ride): void {
    const { place } = ride.read
    const askedAt = this.#owner.clock.now()
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

  /** `isSent`: it was under way on this connection. */
  #told(ride: Ride, error: Error | null | undefined, result: unknown, isSent: boolean): void {
    const { place, statement } = ride.read
    if (!error) {
      ride.rows = rowsIn(result)
      if (!ride.isOver) this.#passed(ride, result)
      return
    }
    if (!ride.isOver) judge(error, place, statement, this.client, this.session, ride.before)
    const isSpoken = typeof place.source === 'object'
    // The server says behind its error whether it still is what it was.
    if (ride.isOver || (isSent && isSpoken && !ride.isAnswered && !isGone(this.client))) {
      ride.error = { error }
      return
    }
    // What the server said last was of another read: a tracer has kept this error back, or it is pg's.
    if (ride.isAnswered || (!isSent && !isSpoken)) place.phase = 'handed'
    if (ride.isAnswered) this.#failedBy(ride, error)
    else this.#fail(ride, error)
  }

  #passed(ride: Ride, result: unknown): void {
    const { read, guard } = ride
    const pass = () => {
      ride.over()
      read.resolve(result)
    }
    if (this.#owner.hasLeft(read.place, this.session)) this.#fail(ride, this.#left(read.place))
    else if (guard === 'stale') this.#stale(ride)
    else if (guard instanceof Promise)
      guard.then(
        (is) => (is ? pass() : this.#stale(ride)),
        (error) => this.#fail(ride, error)
      )
    else pass()
  }

  #fail(ride: Ride, error: unknown): void {
    if (ride.isOver) return
    ride.over()
    ride.read.reject(error)
  }

  /** The server's error, behind which it is ready again. */
  #failedBy(ride: Ride, error: unknown): void {
    const code = propertyOf(error, 'code')
    if (ride.name !== null && preparedIn(code) === 'absent') forgetName(this.client, ride.name)
    // The server has it, and pg does not know.
    if (preparedIn(code) === 'present') this.close()
    if (ride.isOver) return
    if (this.#owner.hasLeft(ride.read.place, this.session)) {
      this.#fail(ride, this.#left(ride.read.place))
      return
    }
    const { isClosing } = this
    if (isOfAnother(code, { isNamed: ride.name !== null, isCancelling: this.#cancel.isUnderWay, isClosing })) {
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

  /** The server is ready for the next: those that were sent before that are answered. */
  #answered(): void {
    const ride = this.#rides[0]
    if (ride === undefined || ride.last > this.#pipe.answers) return
    this.#rides.shift()
    ride.answered()
    const now = this.#owner.clock.mono()
    const millis = now - this.#since
    this.#since = now
    this.#isStuck = false
    // One that was sent alone has taken its time on the network, too.
    if (ride.isBehind) this.#pace += (Math.min(millis, LOOK_MILLIS) - this.#pace) * SHARE
    // Also of a read that was given up: it is as slow for the next caller.
    if (ride.isUnbound && ride.name !== null) forgetName(this.client, ride.name)
    if (!ride.isUnbound) this.#owner.took(this, ride.read.statement, ride.rows, millis)
    if (ride.error !== null) this.#failedBy(ride, ride.error.error)
    this.#cancel.headChanged()
    this.#emptied()
  }

  /** It may rest now. */
  #emptied(): void {
    if (this.#isClosed || !this.rests) return
    if (this.isClosing || this.#owner.isDone(this, 0)) this.close()
    else if (this.#owner.mayExit) this.#pipe.keepsProcess(false)
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
    if (head === undefined && this.rests && (this.isClosing || this.#owner.isDone(this, age))) this.close()
    else if (head !== undefined && age > Math.min(LOOK_MILLIS, timeoutOf(head, this.#pipe))) void this.#overdue(head)
    else this.#look(head === undefined && age > LOOK_MILLIS ? REST_LOOK_MILLIS : LOOK_MILLIS)
  }

  /** While the process was busy the answer may have come: that is read first. */
  async #overdue(head: Ride): Promise<void> {
    await this.#owner.clock.turn()
    if (this.#isClosed) return
    if (head === this.#rides[0]) this.#lookAt(head, this.#owner.clock.mono() - this.#since)
    this.#look(LOOK_MILLIS)
  }

  #lookAt(head: Ride, age: number): void {
    if (age > timeoutOf(head, this.#pipe)) this.#giveUp(head, new Error('Query read timeout'))
    if (age <= LOOK_MILLIS) return
    this.#isStuck = true
    if (this.isClosing) this.#owner.delays()
    // Its caller gave up while it waited.
    if (head.isOver && head.error === null) this.#endOf(head)
    // A read does no harm twice: its answer here is dropped.
    for (const ride of this.#rides.slice(1)) {
      if (!ride.isUnwanted && this.#owner.elsewhere(ride.read, this, false)) ride.over()
    }
  }

  /** The connection has ended, or is no good. */
  #broken(given: unknown): void {
    if (this.#isClosed) return
    const error = given ?? new Error('Connection terminated')
    const rides = this.#rides.splice(0)
    this.#finish(error)
    for (const ride of rides) {
      if (ride.ends()) continue
      const own = ride.error === null ? error : ride.error.error
      const { place, statement } = ride.read
      if (ride.error === null) judge(own, place, statement, this.client, this.session, ride.before)
      this.#fail(ride, own)
    }
  }

  /** Takes no more reads, and gives its connection back when the last is answered. */
  close(): void {
    this.isClosing = true
    if (this.rests) this.#finish(undefined)
  }

  #finish(error: unknown): void {
    if (this.#isClosed) return
    this.#isClosed = this.isClosing = true
    this.#alarm?.cancel()
    this.#cancel.headChanged()
    const { client } = this
    client.removeListener('error', this.#failed)
    client.removeListener('end', this.#failed)
    client.removeListener('notice', this.#notice)
    this.#pipe.close()
    this.session.ends()
    this.#owner.closed(this)
    client.release((error as Error | undefined) ?? this.session.standby === false)
  }
}
