// What a client has run: each unit where the router says, or on the connection that the client keeps for a transaction or for its session's
// state. It decides what stays, what is lost with a connection, and what the client is told of that.

import type { Outcome } from '../../core/cluster/failure.js'
import type { Scope } from '../../core/session/causal-scope.js'
import { closingOf } from '../../core/sql/effects.js'
import { propertyOf } from '../../core/thrown.js'
import type { RouteOptions } from '../../router/statement.js'
import type { ServerConnection } from '../server/connection.js'
import { type Ended, type Sink, UnitExchange } from '../server/exchange.js'
import { adopt, leadWith } from '../server/leading.js'
import { type NodeSide, Withdrawn } from '../server/node-side.js'
import { ServerError } from '../server/question.js'
import { ABORTED, failureSaid, lostSaid, NO_TRANSACTIONS, ON_REPLICA, WITHDRAWN } from '../session/failures.js'
import { Intake } from '../session/intake.js'
import { answerInLostBlock, answerTo, refusalOf } from '../session/local.js'
import { SessionState } from '../session/state.js'
import { type Encoded, encode, failing, type Unit } from '../session/unit.js'
import { errorResponse, type Said, type Status } from '../wire/write.js'
import { Keeping } from './keeping.js'
import type { Outlet } from './outlet.js'
import { ownAnswer } from './own-answer.js'
import type { ClientParts, Identity } from './parts.js'
import { routed, textOf } from './routed.js'
import { UnderWay } from './under-way.js'
import { UnitJob } from './unit-job.js'

const PRIMARY: RouteOptions = { route: 'primary' }

/** The client, as what it has run needs it. */
export interface Home {
  readonly isGone: boolean
  readonly outlet: Outlet
  /** More of what the client has sent can be acted on; later: when what runs now is done. */
  again(): void
  later(): void
  /** Messages are passed by up to a Sync, which is answered with this. */
  skip(status: Status): void
  /** With a last word. */
  close(said: Said): void
  /** A unit is done. */
  rests(): void
}

export class Runner implements Sink {
  readonly intake: Intake
  readonly state: SessionState
  readonly #home: Home
  readonly #parts: ClientParts
  readonly #identity: Identity
  #scope: Scope | undefined
  #route: RouteOptions = {}
  #adopted: unknown = null

  readonly now: UnderWay
  kept: Keeping | null = null
  /** A transaction ended with its connection; the client is yet to end it. */
  isBlockLost = false

  constructor(home: Home, identity: Identity, parts: ClientParts) {
    this.#home = home
    this.#parts = parts
    this.#identity = identity
    this.now = new UnderWay(
      parts,
      () => home.again(),
      () => home.later()
    )
    this.intake = new Intake(parts.library)
    this.state = new SessionState(identity.settings)
    this.#scope = identity.scope
    this.#adopt()
    this.#mindTexts()
  }

  async perform(unit: Unit): Promise<void> {
    this.now.begin(unit)
    try {
      this.now.reached = Infinity
      if (!(await this.#local(unit))) {
        this.now.reached = 0
        await (this.kept === null ? this.#routed(unit, null) : this.#onKept(unit, this.kept))
      }
    } catch (error) {
      this.#tell(error, unit)
    }
    this.intake.settle(this.now.reached)
    this.now.end()
    this.#home.rests()
  }

  /** True: it is answered without a server. */
  #local(unit: Unit): Promise<boolean> | boolean {
    const { texts } = unit
    if (this.isBlockLost) {
      const answer = answerInLostBlock(unit)
      if (answer === null) this.#refuse(unit, ABORTED, 'E')
      else this.#home.outlet.writeAll(answer.bytes)
      this.isBlockLost = answer?.ends !== true
      return true
    }
    const status: Status = this.kept?.connection.status ?? 'I'
    if (!unit.needsServer) {
      this.#home.outlet.writeAll(answerTo(unit, null, status))
      return true
    }
    const [text] = texts
    const [plan] = this.now.plans
    if (status === 'E' || texts.length !== 1 || text === undefined || plan === undefined) return false
    if (plan.verdict.intent === 'read' || !unit.executes || !unit.isComplete) return false
    const { scopes, router } = this.#parts
    const result = ownAnswer(text, plan, {
      intake: this.intake,
      isKept: this.kept !== null,
      discard: () => {
        this.state.discard()
        this.#adopt()
      },
      token: () => scopes.within(this.#scope, () => router.causality.token()),
    })
    if (result === null) return false
    return Promise.resolve(result).then((said) => {
      this.#home.outlet.writeAll(answerTo(unit, said, status))
      return true
    })
  }

  #refuse(unit: Unit, said: Said, status: Status): void {
    this.now.reached = 0
    this.#home.outlet.writeAll(refusalOf(unit, errorResponse(said), status))
    if (unit.isComplete && !unit.isCut) return
    this.#home.skip(status)
    this.intake.drop()
  }

  /** On the connection that the client keeps. */
  async #onKept(given: Unit, kept: Keeping): Promise<void> {
    const reader = this.#parts.router.routing.texts
    const plan = kept.plan(given.texts, this.now.plans, reader)
    if (plan === 'move' && given.isComplete) return this.#move(given, kept)
    if (plan === 'gone') return this.#lostKept(new Error('the replica of the transaction was promoted'), given)
    const unit = plan === 'lent' ? given : failing(given, errorResponse(ON_REPLICA))
    await this.#exchange(given, kept, encode(unit, kept.connection, !given.isComplete || unit !== given))
  }

  #exchange(unit: Unit, kept: Keeping, { bytes, expects }: Encoded): Promise<void> {
    const { connection, side } = kept
    return new Promise((resolve) => {
      this.now.wasInBlock = kept.inBlock
      const exchange = new UnitExchange(textOf(unit), false, this, {
        skipped: (expected) => connection.skipped(expected),
        goesOn: () => this.goesOn(connection),
        resolve: (ended) => {
          if (!this.#after(connection, side, ended)) this.letGo()
          resolve()
        },
        reject: (error) => {
          this.#lostKept(error, unit)
          resolve()
        },
      })
      this.now.connection = connection
      this.now.side = side
      connection.session.sends(this.#scope)
      // RESET gives it the settings that the proxy has logged in with, not those of the client.
      const owed = this.state.owed()
      if (connection.status === 'I') adopt(connection, this.state.settings)
      else if (owed !== null && connection.status === 'T') leadWith(connection, owed)
      exchange.begin(expects)
      this.now.running = exchange
      if (!connection.send(exchange, bytes)) this.now.choke(connection)
      if (!unit.isComplete) this.#home.later()
    })
  }

  /** The transaction goes on at the primary. */
  #move(unit: Unit, kept: Keeping): Promise<void> {
    const { shape } = kept
    this.kept = null
    kept.side.giveBack(kept.connection, this.#identity.user, this.#identity.database)
    return this.#routed(unit, shape)
  }

  /** The kept connection was lost while a unit ran on it, or must not be used any more. */
  #lostKept(error: unknown, unit: Unit): void {
    const { pinned } = this.state
    const closes = unit.texts.some((text) => closingOf(text)?.commits === true)
    const mayWrite = this.now.plans.some(({ verdict }) => verdict.intent !== 'read')
    const outcome: Outcome = (this.now.wasInBlock ? closes : mayWrite) ? 'unknown' : 'rolled-back'
    this.#drop()
    const said = lostSaid(outcome, wordsIn(error))
    if (pinned !== null) {
      this.#home.close({ ...said, detail: `${said.detail} The session's state (${pinned}) went with it.` })
      return
    }
    this.isBlockLost = this.now.wasInBlock && !unit.texts.some((text) => closingOf(text) !== null)
    this.#refuse(unit, said, this.isBlockLost ? 'E' : 'I')
  }

  /** Its connection is of no use any more. */
  #drop(): void {
    const kept = this.kept
    this.kept = null
    if (kept === null) return
    kept.side.giveBack(kept.connection, this.#identity.user, this.#identity.database)
    this.state.lost()
  }

  /** `shape`: what the primary is told first, of a transaction that began on a replica. */
  async #routed(unit: Unit, shape: string | null): Promise<void> {
    const { options } = this.#parts
    for (let paused = this.#parts.paused(); paused !== null; paused = this.#parts.paused()) await paused
    if (this.#home.isGone) return
    const plans = this.now.plans
    if (options.poolMode === 'statement' && plans.some(({ opening }) => opening !== null)) {
      this.#refuse(unit, NO_TRANSACTIONS, 'I')
      return
    }
    this.now.wasInBlock = shape !== null
    const job = new UnitJob(this.now, this, this.#home, this.#identity, this.#scope, unit, shape)
    const stays = options.poolMode === 'session' || shape !== null || this.state.pinned !== null
    const wish = stays ? PRIMARY : this.#route
    await routed(this.#parts, { unit, plans, wish, scope: this.#scope }, (place, reading) => {
      this.now.side = this.#parts.sideOf(place)
      return this.now.side.run(place, job, reading)
    })
  }

  keeps(connection: ServerConnection, ended: Ended): boolean {
    return this.#after(connection, this.now.side as NodeSide, ended)
  }

  /** The unit is answered. True: the client keeps the connection. */
  #after(connection: ServerConnection, side: NodeSide, { status, failed }: Ended): boolean {
    const hasFailed = failed !== null
    this.now.reached = this.now.running?.reached ?? 0
    this.now.leaves(connection)
    if (hasFailed && this.now.unit?.isCut) this.#home.skip(status)
    const { ending } = connection.session
    connection.settings = this.state.after(this.now.plans, { ending, status, hasFailed }, connection.settings)
    if (!hasFailed && this.now.plans.some(({ deallocates }) => deallocates === '*')) this.intake.forget(null)
    this.#adopt()
    this.#home.outlet.compare(connection.reported)
    this.#mindTexts()
    // A client is pinned to the primary. What it keeps of a replica is a transaction.
    const isPinned = this.state.pinned !== null && connection.session.standby !== true
    const keeps = status !== 'I' || isPinned || this.#parts.options.poolMode === 'session'
    if (!keeps || this.#home.isGone) return false
    this.#keep(connection, side, hasFailed)
    return true
  }

  /** Texts that cannot be read are sent to the primary, and nothing that they leave goes to another client. */
  #mindTexts(): void {
    const setting = this.#home.outlet.illegible
    if (setting !== null) this.state.pin(setting)
  }

  #keep(connection: ServerConnection, side: NodeSide, hasFailed: boolean): void {
    this.kept ??= new Keeping(connection, side, connection.session.standby === true, this.#scope, {
      unasked: (bytes) => this.write(bytes),
      parameter: (name, value) => this.parameter(name, value),
      lost: (error) => this.#lostIdle(error),
    })
    const { texts } = this.#parts.router.routing
    if (!hasFailed) this.kept.note(this.now.unit?.texts ?? [], this.now.plans, texts)
  }

  /** The kept connection was lost between two units. */
  #lostIdle(error: unknown): void {
    const kept = this.kept
    if (kept === null) return
    const { pinned } = this.state
    const { inBlock } = kept
    this.#drop()
    if (this.#home.isGone) return
    const what = pinned ?? (this.#parts.options.poolMode === 'session' ? 'pool_mode is session' : null)
    if (what === null) this.isBlockLost = inBlock
    else
      this.#home.close({
        ...lostSaid('rolled-back', wordsIn(error)),
        detail: `The session's state (${what}) went with it.`,
      })
  }

  letGo(): void {
    const kept = this.kept
    if (kept === null) return
    this.kept = null
    if (this.state.pinned !== null) kept.connection.isSoiled = true
    kept.side.giveBack(kept.connection, this.#identity.user, this.#identity.database)
  }

  /** The settings in force decide what a text means, and where statements may run. */
  #adopt(): void {
    const { present } = this.state
    if (present === this.#adopted) return
    this.#adopted = present
    this.intake.meaning = present.get('search_path') ?? ''
    const { route, token } = this.#parts.wishesIn(present)
    this.#route = route
    if (token !== null) this.#scope = this.#parts.scopeFor(token, this.#scope)
  }

  // What the client gets.

  write(bytes: Buffer): void {
    this.#home.outlet.write(bytes, this.now.connection ?? this.kept?.connection ?? null)
  }

  parameter(name: string, value: string): void {
    this.#home.outlet.parameter(name, value)
  }

  copies(): void {
    // What the COPY waits for will not come.
    if (this.#home.isGone) this.now.connection?.end('reset')
    else this.#home.later()
  }

  goesOn(connection: ServerConnection): void {
    const { unit } = this.now
    if (unit !== null) unit.isComplete = false
    this.intake.continued()
    // The Sync that it waits for will not come.
    if (this.#home.isGone) connection.end('reset')
    else this.#home.later()
  }

  /** The unit has failed, and no server has told the client. */
  #tell(error: unknown, unit: Unit): void {
    if (this.#home.isGone) return
    if (error instanceof ServerError && error.answer.length > 0) {
      this.#home.outlet.writeAll(error.answer)
      if (unit.isCut) this.#home.skip('I')
    } else if (error instanceof Withdrawn) {
      this.#refuse(unit, WITHDRAWN, 'I')
    } else if (error instanceof ServerError) {
      const outcome = (propertyOf(error, 'outcome') as Outcome | undefined) ?? 'unknown'
      this.#refuse(unit, lostSaid(outcome, error.message || `SQLSTATE ${error.code}`), 'I')
    } else this.#refuse(unit, failureSaid(error), 'I')
  }
}

function wordsIn(error: unknown): string {
  const message = propertyOf(error, 'message')
  return typeof message === 'string' && message !== '' ? message : 'its session ended'
}
