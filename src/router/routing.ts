// From a statement and the pool's options to a request: what it needs, where it may go, whether it may be repeated, and why. Asks
// nothing of any server.

import type { Config } from '../config/config.js'
import { keyOf, type NodeAddress } from '../core/cluster/address.js'
import { aloneOf } from '../core/cluster/alone.js'
import type { Failure, Repeatable } from '../core/cluster/failure.js'
import type { Node } from '../core/cluster/node.js'
import type { Target } from '../core/cluster/selection.js'
import type { ReadConstraints } from '../core/session/causal-scope.js'
import type { Verdict } from '../core/sql/classify.js'
import { onlyShapes } from '../core/sql/effects.js'
import { type Undone, weaker } from '../core/undone.js'
import type { Request } from '../herd/herd.js'
import { type Knowledge, Readings } from './readings.js'
import { Repairs } from './repairs.js'
import type { Route, RouteOptions, Statement } from './statement.js'
import { type ASIDE, Warnings } from './warnings.js'

export type { Knowledge } from './readings.js'

/** A request, whether what it runs only reads, and why it goes where it goes. */
export interface Routed extends Request {
  readonly reading: boolean
  readonly reason: string
  /** The word or name of its text that decided; empty where none did, or where it may be part of a value. */
  readonly word: string
}

interface Read {
  readonly text: string
  readonly of: Routed
}

const NEVER_AGAIN: Repeatable = { read: false, undone: 'hidden' }

export const ON_PRIMARY: Routed = {
  target: { role: 'primary' },
  repeat: () => NEVER_AGAIN,
  repairs: false,
  reading: false,
  reason: 'runs on the primary',
  word: '',
}

/** Why a statement goes nowhere. */
export const NOWHERE = 'a replica was asked for, and only the primary is used'

const UNINFORMED =
  'only reads, but the catalogue has not been read, or not since definitions changed: a name may hide more'

export class Routing {
  readonly #config: Config
  readonly #knowledge: Knowledge
  readonly texts: Readings
  readonly repairs = new Repairs()
  readonly warnings = new Warnings()
  #aside: string | null = null
  #target: {
    readonly asked: number | undefined
    readonly written: ReadConstraints
    readonly otherwise: 'primary' | 'refuse'
    readonly of: Target
  } | null = null
  /** The last request of each text that was read. */
  readonly #reads = new WeakMap<Verdict, Read>()
  /** One for all that write by the present reading of texts. */
  #writes = { version: -1, stays: () => false }

  constructor(config: Config, knowledge: Knowledge) {
    this.#config = config
    this.#knowledge = knowledge
    this.texts = new Readings(config, knowledge)
  }

  /** From now on no statement goes to a replica unless its caller asks for one. */
  setAside(cause: keyof typeof ASIDE): void {
    const reason = this.warnings.aside(cause)
    this.#aside ??= reason
  }

  /** Whether every server and session reads string literals as the lexer does. */
  setLegible(is: boolean): void {
    this.texts.setLegible(is)
    if (!is) this.warnings.strings()
  }

  /** Not told to a caller that reads from the primary only, or has asked for no proof. */
  tellPooled(key: string): void {
    const { attributes, maxLagMillis, readYourWrites } = this.#config
    const isBounded = maxLagMillis !== Infinity || readYourWrites !== 'off'
    if (attributes !== 'primary' && maxLagMillis !== 0 && isBounded) this.warnings.pooled(key)
  }

  /** Where the user says where replicas listen, no port is guessed. */
  tellPorts(found: NodeAddress, primary: Node | undefined): void {
    const { port } = primary?.seen?.detail ?? {}
    const isGuessed = found.origin === 'discovered' && this.#config.replication.settings.address === undefined
    if (!isGuessed || primary === undefined || port === undefined || port === primary.address.port) return
    this.warnings.ports(keyOf(found), port, primary.address.port)
  }

  /** A bounded read went to a standby without a proof. A caller that asked for standbys and set no bound has what it asked for. */
  tellUnproven(): void {
    const { attributes, isBoundGiven } = this.#config
    if (attributes !== 'standby' || isBoundGiven) this.warnings.unproven()
  }

  /** The request of a statement, as its text is read now. */
  route(statement: Statement, written: ReadConstraints): Routed {
    const { class: verdict, maxLagMillis: bound, route: wish } = statement
    const reading = verdict?.intent === 'read'
    const undone = undoneOf(verdict)
    const { attributes } = this.#config
    if (wish === 'replica' && !reading && (attributes === 'primary' || this.#config.routing === 'observe')) {
      return this.#nowhere(written, undone)
    }
    if (attributes === 'standby' || (wish === 'replica' && attributes === 'any')) {
      return { ...this.#insisted(bound, written, reading, undone), hedge: reading && this.#hedges(statement.text) }
    }
    const reason = this.#reasonForPrimary(reading, wish, verdict, written)
    const word = verdict?.readable ? verdict.word : ''
    if (reason !== null) {
      // A caller that sends a text to the primary which looks like a read may know of a write in it.
      const read = reading && wish !== 'primary'
      const repeat = () => ({ read, undone })
      const stays = reading ? undefined : this.#stays
      return { target: { role: 'primary' }, repeat, repairs: false, stays, reading: read, reason, word }
    }
    return this.#read(statement.text ?? '', verdict as Verdict, bound, written, undone, word)
  }

  /** A read, on a replica that has what it must see. */
  #read(
    text: string,
    verdict: Verdict,
    bound: number | undefined,
    written: ReadConstraints,
    undone: Undone,
    word: string
  ): Routed {
    const otherwise = this.#config.whenStale === 'primary' ? 'primary' : 'refuse'
    const target = this.#replica(bound, written, otherwise)
    const last = this.#reads.get(verdict)
    if (last !== undefined && last.text === text && last.of.target === target) return last.of
    const repeat = () => ({ read: true, undone })
    const learn = (refusal: Failure, what: 'refused' | 'served') => this.#learn(text, refusal, what)
    const { reason } = verdict
    const hedge = this.#hedges(text)
    const of: Routed = { target, repeat, repairs: true, learn, reading: true, reason, word, hedge }
    this.#reads.set(verdict, { text, of })
    return of
  }

  /** What writes goes to the primary until texts are read in another way. */
  get #stays(): () => boolean {
    const { texts } = this
    const { version } = texts
    if (version !== this.#writes.version) this.#writes = { version, stays: () => texts.version === version }
    return this.#writes.stays
  }

  /** It may be sent to a second replica while the first has it. */
  #hedges(text: string | null): boolean {
    return this.#config.hedgeMillis !== Infinity && text !== null && this.texts.isRepeatable(text)
  }

  #reasonForPrimary(
    reading: boolean,
    wish: Route | undefined,
    verdict: Verdict | null,
    { lost }: ReadConstraints
  ): string | null {
    if (!reading) return verdict?.reason ?? 'is no text: a cursor, a stream, or a mistake'
    if (this.#config.attributes === 'primary') return 'targetSessionAttrs is primary'
    if (wish === 'primary') return 'only reads, but the primary was asked for'
    if (lost) return 'only reads, but what its token stands for did not survive a failover'
    if (this.#aside !== null) return `only reads, but replicas are set aside: ${this.#aside}`
    return this.#knowledge.informed ? null : UNINFORMED
  }

  /** The caller insists on a replica: what that refuses is the caller's error to see. */
  #insisted(bound: number | undefined, written: ReadConstraints, reading: boolean, undone: Undone): Routed {
    const { attributes, whenStale } = this.#config
    const otherwise = reading && attributes === 'any' && whenStale === 'primary' ? 'primary' : 'refuse'
    const repeat = () => ({ read: reading, undone })
    const reason = attributes === 'standby' ? 'targetSessionAttrs is standby' : 'a replica was asked for'
    return { target: this.#replica(bound, written, otherwise), repeat, repairs: false, reading, reason, word: '' }
  }

  /** All statements go to the primary, and this one must not. */
  #nowhere(written: ReadConstraints, undone: Undone): Routed {
    const target = this.#replica(0, written, 'refuse')
    return {
      target,
      repeat: () => ({ read: false, undone }),
      repairs: false,
      reading: false,
      reason: NOWHERE,
      word: '',
    }
  }

  /** On a client whose session is not a replica's: what insists on one may only read, or begin, end and shape a transaction. */
  mayRunOnPrimary(statement: Statement): boolean {
    if (statement.route !== 'replica') return true
    const { sql } = statement
    return sql !== null && (onlyShapes(sql) || this.texts.read(sql).intent === 'read')
  }

  /** On the only server: nothing is read before something has failed, and then only to tell what became of it. */
  onlyServer(statement: Statement): Routed {
    return { ...ON_PRIMARY, repeat: () => ({ read: false, undone: undoneOf(statement.class) }) }
  }

  /** A transaction that only reads, for a client that may borrow; null: it stays on the primary. */
  transaction(
    { route, maxLagMillis }: RouteOptions,
    written: ReadConstraints,
    otherwise: 'primary' | 'refuse' = 'refuse'
  ): Routed | null {
    if (this.#reasonForPrimary(true, route, null, written) !== null) return null
    const target = this.#replica(maxLagMillis, written, otherwise)
    return { ...ON_PRIMARY, target, reading: true, reason: 'a READ ONLY transaction' }
  }

  /** A whole transaction on a client of its own; BEGIN may be sent again. */
  whole(
    asked: RouteOptions,
    written: ReadConstraints,
    mayRead: boolean,
    otherwise: 'primary' | 'refuse' = 'refuse'
  ): Routed {
    const repeat = () => ({ read: true, undone: 'whole' as const })
    const standby = this.#config.attributes === 'standby'
    if (standby || (asked.route === 'replica' && this.#config.attributes === 'any')) {
      return { ...this.anyReplica(asked, written, otherwise), repeat }
    }
    const request = mayRead ? this.transaction(asked, written) : null
    if (request === null) return { ...ON_PRIMARY, repeat, reason: 'a transaction' }
    const { target } = request
    const reads = this.#config.whenStale === 'primary' ? 'primary' : 'refuse'
    return { ...request, repeat, target: target.role === 'replica' ? { ...target, otherwise: reads } : target }
  }

  /** A client to hold, where only replicas may serve. `otherwise`: where there is none. */
  anyReplica({ maxLagMillis }: RouteOptions, written: ReadConstraints, otherwise: 'primary' | 'refuse'): Routed {
    const target = this.#replica(maxLagMillis, written, otherwise)
    return { ...ON_PRIMARY, target, reading: true, reason: 'a client of a replica was asked for' }
  }

  /**
   * What only a missing object caused is never remembered: it will be replayed. What may have other causes is, once the
   * primary has served it.
   */
  #learn(text: string, refusal: Failure, what: 'refused' | 'served'): void {
    if (refusal.kind === 'isolation') this.setAside('isolation')
    const remember = refusal.kind === 'role' ? what === 'refused' : refusal.kind === 'unfit' && what === 'served'
    const name = remember ? this.texts.remember(text, refusal) : null
    this.repairs.count(text, refusal, what, name)
  }

  /** The same object for the same needs: most reads have the same, and what was decided for one holds for the next. */
  #replica(asked: number | undefined, written: ReadConstraints, otherwise: 'primary' | 'refuse'): Target {
    const last = this.#target
    if (last !== null && last.written === written && last.asked === asked && last.otherwise === otherwise)
      return last.of
    const of = this.#replicaFor(asked, written, otherwise)
    this.#target = { asked, written, otherwise, of }
    return of
  }

  #replicaFor(asked: number | undefined, written: ReadConstraints, otherwise: 'primary' | 'refuse'): Target {
    const { maxLagMillis, maxLagBytes, maxStaleMillis } = this.#config
    const { stick, lost: _, ...own } = written
    const bound = asked ?? maxLagMillis
    return {
      role: 'replica',
      need: {
        maxLagMillis: bound,
        ...own,
      },
      maxLagBytes,
      // A bound of 0 means the primary, also while there is none.
      maxStaleMillis: bound === 0 ? 0 : maxStaleMillis,
      otherwise,
      alone: aloneOf(this.#config, asked),
      stick,
    }
  }
}

/** What is undone of a text that is refused. Behind a COMMIT within it, the rest only. */
function undoneOf(verdict: Verdict | null): Undone {
  if (verdict === null) return 'hidden'
  return verdict.controls && !verdict.single ? weaker(verdict.undone, 'parts') : verdict.undone
}
