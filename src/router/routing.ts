// From a statement and the pool's options to an errand: what it needs, where it may go, whether it may be repeated, and why. It
// remembers texts already read and what replicas refused, and says once what keeps it from using replicas. Asks nobody.

import type { Config } from '../config/config.js'
import { aloneOf } from '../core/cluster/alone.js'
import type { Failure, Repeatable } from '../core/cluster/failure.js'
import type { Target } from '../core/cluster/selection.js'
import type { Written } from '../core/session/causal-scope.js'
import { hintOf, inspect, type Verdict } from '../core/sql/classify.js'
import { culprit, type Definitions, policyOf } from '../core/sql/definitions.js'
import { type Effect, effectOf, onlyShapes } from '../core/sql/effects.js'
import { Memo } from '../core/sql/memo.js'
import { type NamePolicy, SHIPPED_ONLY } from '../core/sql/names.js'
import { type Undone, weaker } from '../core/undone.js'
import { printable } from '../core/words.js'
import type { Errand } from '../herd/herd.js'
import { Repairs } from './repairs.js'
import type { QueryArgs, Wishes } from './statement.js'

/** An errand, whether what it runs only reads, and why it goes where it goes. */
export interface Routed extends Errand {
  readonly reading: boolean
  readonly reason: string
  /** The word or name of its text that decided; empty where none did, or where it may be part of a value. */
  readonly word: string
}

/** What the herd knows of the database's own names. */
export interface Knowledge {
  readonly definitions: Definitions
  readonly informed: boolean
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

/** With a text that cannot be read everything is a write. */
const ILLEGIBLE: Verdict = {
  intent: 'write',
  word: '',
  reason:
    'cannot be read: a server or session reads string literals in another way (standard_conforming_strings, encoding)',
  readable: false,
  single: false,
  undone: 'parts',
  controls: true,
  defines: false,
  hint: null,
}

const STRINGS =
  'a server or session has standard_conforming_strings = off, or an encoding in which a backslash can be half of a ' +
  'character, so the texts of statements cannot be read: everything runs on the primary until that is no longer so.'

const UNREADABLE =
  'the catalogue cannot be read, so your functions run on the primary, and what views and policies reach is not seen: ' +
  'give the role the right to read pg_catalog, or list what needs the primary in primaryFunctions and primaryRelations'

const UNPAIRED =
  'this copy of pg cannot send two statements on one connection at a time (pg 8.23 and newer can), so a replica shows its ' +
  'position in a trip of its own before a read, and no position comes with a write. Reads behind writes take longer, or run ' +
  'on the primary; what they are proven to see is the same.'
const NATIVE =
  'replicas were found and are not used: with pg.native nothing keeps a server that was found from being sent the password in ' +
  'a form that it can read. Name the servers, or take the JavaScript client.'
const UNPROVEN =
  'no primary is known, so the bound is not proven: all named hosts are in recovery, and reads run on them as they are. Name a ' +
  'host that leads to the primary, or set maxLagMillis: Infinity if any age will do.'

/** Why all replicas are left alone, and what the reader of the warning can do. */
const ASIDE = {
  isolation: {
    code: 'PGHERD_SERIALIZABLE',
    reason: 'default_transaction_isolation is serializable, which no replica can give (0A000)',
    advice: "Set it to 'repeatable read' or lower for this role or database, then make a new pool.",
  },
  hook: {
    code: 'PGHERD_HOOK',
    reason: 'a connection hook (onConnect, verify or a connect listener) tried to write on a replica (25006)',
    advice: 'Let hooks only change the session (SET, set_config), and do the writing elsewhere.',
  },
} as const

const REMEMBERED = 1000
/** A hint may stand at its beginning. */
const COMMENTED = /^\s*\/\*/
/** Why a statement goes nowhere. */
export const NOWHERE = 'a replica was asked for, and only the primary is used'

/** False: neither the config nor its text says anything of where the statement shall run. */
export function mayInsist(first: unknown): boolean {
  if (typeof first === 'string') return COMMENTED.test(first)
  const { text, route } = first as { readonly text?: unknown; readonly route?: unknown }
  return route === 'replica' || (typeof text === 'string' && COMMENTED.test(text))
}
const FORGET_MILLIS = 600_000
const UNINFORMED =
  'only reads, but the catalogue has not been read, or not since definitions changed: a name may hide more'

export class Routing {
  readonly #config: Config
  readonly #knowledge: Knowledge
  readonly #learned = new Set<string>()
  readonly repairs = new Repairs()
  #definitions: Definitions | null = null
  #policy: NamePolicy | undefined
  #texts = new Memo<Verdict>(REMEMBERED)
  #effects = new Memo<Effect>(REMEMBERED)
  readonly #effectOf = (text: string) => effectOf(text, this.read(text), this.#policy ?? SHIPPED_ONLY)
  readonly #inspect = (text: string) => inspect(text, this.#policy)
  /** Something was learned that may have been an odd moment's; when to forget it. */
  #passing = false
  #forgetAt: number | null = null
  #aside: string | null = null
  #legible = true
  readonly #warned = new Set<string>()

  constructor(config: Config, knowledge: Knowledge) {
    this.#config = config
    this.#knowledge = knowledge
  }

  read(text: string): Verdict {
    const { definitions } = this.#knowledge
    // What replicas refused under other definitions says nothing any more.
    if (definitions !== this.#definitions) this.#follow(definitions)
    return this.#legible ? this.#texts.of(text, this.#inspect) : { ...ILLEGIBLE, hint: hintOf(text) }
  }

  /** From now on no statement goes to a replica unless somebody asks for one. */
  setAside(cause: keyof typeof ASIDE): void {
    const { reason, code, advice } = ASIDE[cause]
    this.#aside ??= reason
    this.#warn(code, `${reason}. Replicas are set aside: the statements of this pool run on the primary. ${advice}`)
  }

  /** Whether every server and session reads string literals as the lexer does. */
  setLegible(is: boolean): void {
    if (is === this.#legible) return
    this.#legible = is
    if (!is) this.#warn('PGHERD_STRINGS', STRINGS)
  }

  /** Without a catalogue nobody knows what views and policies reach: the user may. */
  tellUnreadable(message: string): void {
    this.#warn('PGHERD_CATALOGUE', `${UNREADABLE} (${printable(message)}).`)
  }

  /** This copy of pg sends one statement at a time, so no question can travel with one. */
  tellUnpaired(): void {
    this.#warn('PGHERD_PIPELINE', UNPAIRED)
  }

  /** libpq's binding sends the password to whatever server asks for it. */
  tellNative(): void {
    this.#warn('PGHERD_NATIVE', NATIVE)
  }

  /** A bounded read went to a standby without a proof. A caller that asked for standbys and set no bound has what it asked for. */
  tellUnproven(): void {
    const { attributes, isBoundGiven } = this.#config
    if (attributes !== 'standby' || isBoundGiven) this.#warn('PGHERD_UNPROVEN', UNPROVEN)
  }

  /** What a single odd moment of a replica taught is forgotten some day; what it refused for good it will refuse again. */
  forget(now: number): void {
    if (!this.#passing) return
    this.#forgetAt ??= now + FORGET_MILLIS
    if (now < this.#forgetAt) return
    this.#passing = false
    this.#forgetAt = null
    this.#follow(this.#knowledge.definitions)
  }

  /** Each cause is told once. */
  #warn(code: string, text: string): void {
    if (this.#warned.has(code)) return
    this.#warned.add(code)
    process.emitWarning(text, { type: 'PgherdWarning', code })
  }

  /** The errand of a statement that was read as `verdict`. */
  route(args: QueryArgs, wishes: Wishes, verdict: Verdict | null, written: Written): Routed {
    const reading = verdict?.intent === 'read'
    const undone = undoneOf(verdict)
    const wish = wished(args, wishes, verdict)
    const { attributes } = this.#config
    const bound = args.maxLagMillis ?? wishes.maxLagMillis
    if (wish === 'replica' && !reading && (attributes === 'primary' || this.#config.routing === 'observe')) {
      return this.#nowhere(written, undone)
    }
    if (attributes === 'standby' || (wish === 'replica' && attributes === 'any')) {
      return this.#insisted(bound, written, reading, undone)
    }
    const reason = this.#reasonForPrimary(reading, wish, verdict, written)
    const word = verdict?.readable ? verdict.word : ''
    if (reason !== null) {
      // Who sends a text to the primary that looks like a read may know of a write in it.
      const read = reading && wish !== 'primary'
      const repeat = () => ({ read, undone })
      return { target: { role: 'primary' }, repeat, repairs: false, reading: read, reason, word }
    }
    const repeat = () => ({ read: true, undone })
    const otherwise = this.#config.whenStale === 'primary' ? 'primary' : 'refuse'
    const target = this.#replica(bound, written, otherwise)
    const text = args.text ?? ''
    const learn = (refusal: Failure, what: 'refused' | 'served') => this.#learn(text, refusal, what)
    return { target, repeat, repairs: true, learn, reading, reason: verdict?.reason ?? '', word }
  }

  #reasonForPrimary(
    reading: boolean,
    wish: Wishes['route'],
    verdict: Verdict | null,
    { lost }: Written
  ): string | null {
    if (!reading) return verdict?.reason ?? 'is no text: a cursor, a stream, or a mistake'
    if (this.#config.attributes === 'primary') return 'targetSessionAttrs is primary'
    if (wish === 'primary') return 'only reads, but the primary was asked for'
    if (lost) return 'only reads, but what its token stands for did not survive a failover'
    if (this.#aside !== null) return `only reads, but replicas are set aside: ${this.#aside}`
    return this.#knowledge.informed ? null : UNINFORMED
  }

  /** The caller insists on a replica: what that refuses is the caller's error to see. */
  #insisted(bound: number | undefined, written: Written, reading: boolean, undone: Undone): Routed {
    const { attributes, whenStale } = this.#config
    const otherwise = reading && attributes === 'any' && whenStale === 'primary' ? 'primary' : 'refuse'
    const repeat = () => ({ read: reading, undone })
    const reason = attributes === 'standby' ? 'targetSessionAttrs is standby' : 'a replica was asked for'
    return { target: this.#replica(bound, written, otherwise), repeat, repairs: false, reading, reason, word: '' }
  }

  /** All statements go to the primary, and this one must not. */
  #nowhere(written: Written, undone: Undone): Routed {
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

  /**
   * The caller insists on a replica, so what is not taken for a read must not run on the primary. Of a text only a comment at its
   * beginning is read: with one server this is asked of every statement.
   */
  insists({ route, text }: QueryArgs, wishes: Wishes): boolean {
    if (route !== undefined && route !== 'auto') return route === 'replica'
    const hint = text !== null && COMMENTED.test(text) ? hintOf(text) : null
    return (hint ?? (route === undefined ? wishes.route : 'auto')) === 'replica'
  }

  /** On a client whose session is not a replica's: what insists on one may only read, or begin, end and shape a transaction. */
  mayRunOnPrimary(args: QueryArgs, text: string | null, wishes: Wishes): boolean {
    if (!this.insists(args, wishes)) return true
    return text !== null && (onlyShapes(text) || this.read(text).intent === 'read')
  }

  /** On the only server: nothing is read before something has failed, and then only to tell what became of it. */
  onlyServer(text: string): Routed {
    return { ...ON_PRIMARY, repeat: () => ({ read: false, undone: undoneOf(this.read(text)) }) }
  }

  /** A transaction that only reads, for a client that may borrow; null: it stays on the primary. */
  transaction(args: QueryArgs, written: Written): Routed | null {
    if (this.#reasonForPrimary(true, args.route, null, written) !== null) return null
    const target = this.#replica(args.maxLagMillis, written, 'refuse')
    return { ...ON_PRIMARY, target, reading: true, reason: 'a READ ONLY transaction' }
  }

  /** A whole transaction on a client of its own; BEGIN may be sent again. */
  whole(wishes: Wishes, written: Written, mayRead: boolean, otherwise: 'primary' | 'refuse' = 'refuse'): Routed {
    const repeat = () => ({ read: true, undone: 'whole' as const })
    const standby = this.#config.attributes === 'standby'
    if (standby || (wishes.route === 'replica' && this.#config.attributes === 'any')) {
      return { ...this.anyReplica(wishes, written, otherwise), repeat }
    }
    const args = { route: wishes.route, maxLagMillis: wishes.maxLagMillis } as QueryArgs
    const errand = mayRead ? this.transaction(args, written) : null
    if (errand === null) return { ...ON_PRIMARY, repeat, reason: 'a transaction' }
    const { target } = errand
    const reads = this.#config.whenStale === 'primary' ? 'primary' : 'refuse'
    return { ...errand, repeat, target: target.role === 'replica' ? { ...target, otherwise: reads } : target }
  }

  /** What a text does to its session, under all that is known of names. */
  effect(text: string): Effect {
    const verdict = this.read(text)
    return verdict.intent === 'read' ? 'none' : this.#effects.of(text, this.#effectOf)
  }

  /** A client to hold, where only replicas may serve. `otherwise`: where there is none. */
  anyReplica(wishes: Wishes, written: Written, otherwise: 'primary' | 'refuse'): Routed {
    const target = this.#replica(wishes.maxLagMillis, written, otherwise)
    return { ...ON_PRIMARY, target, reading: true, reason: 'a client of a replica was asked for' }
  }

  /**
   * What only a missing object caused is never remembered: it will be replayed. What may have other causes is, once the
   * primary has served it.
   */
  #learn(text: string, refusal: Failure, what: 'refused' | 'served'): void {
    if (refusal.kind === 'isolation') this.setAside('isolation')
    const remember = refusal.kind === 'role' ? what === 'refused' : refusal.kind === 'unfit' && what === 'served'
    const name = remember ? this.#remember(text, refusal) : null
    this.repairs.count(text, refusal, what, name)
  }

  #remember(text: string, { code, kind }: Failure): string | null {
    if (kind !== 'role') this.#passing = true
    const reason = `was refused by a replica (${code})`
    const name = culprit(text, this.#knowledge.definitions)
    if (name !== null && this.#learned.size < REMEMBERED) {
      this.#learned.add(name)
      this.#follow(this.#knowledge.definitions, this.#learned)
    }
    this.#texts.put(text, { ...this.read(text), intent: 'write', word: name ?? '', reason })
    return name
  }

  #follow(definitions: Definitions, learned?: ReadonlySet<string>): void {
    if (learned === undefined) this.#learned.clear()
    this.#definitions = definitions
    this.#policy = policyOf(this.#config.names, definitions, this.#learned)
    this.#texts = new Memo(REMEMBERED)
    this.#effects = new Memo(REMEMBERED)
  }

  #replica(asked: number | undefined, written: Written, otherwise: 'primary' | 'refuse'): Target {
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

/** The nearest word counts: the statement's own, then its hint, then that of the view. 'auto' takes back what a view says. */
function wished({ route }: QueryArgs, wishes: Wishes, verdict: Verdict | null): Wishes['route'] {
  if (route !== undefined && route !== 'auto') return route
  return verdict?.hint ?? (route === undefined ? wishes.route : 'auto')
}
