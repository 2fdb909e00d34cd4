// What the texts of statements do, under all that is known of names: read once, and remembered until something becomes known that
// changes the answer. Learns the names that replicas refused. Asks no server.

import type { Config } from '../config/config.js'
import type { Failure } from '../core/cluster/failure.js'
import { hintOf, inspect, type Verdict } from '../core/sql/classify.js'
import { callsOwn, culprit, type Definitions, policyOf } from '../core/sql/definitions.js'
import { type Effect, effectOf, stateLeftBy } from '../core/sql/effects.js'
import { Memo } from '../core/sql/memo.js'
import { kept, type NamePolicy, SHIPPED_ONLY } from '../core/sql/names.js'
import type { Reader } from './statement.js'

/** What the herd knows of the database's own names. */
export interface Knowledge {
  readonly definitions: Definitions
  readonly informed: boolean
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

const REMEMBERED = 1000
const FORGET_MILLIS = 600_000

export class Readings implements Reader {
  readonly #names: Config['names']
  readonly #knowledge: Knowledge
  readonly #learned = new Set<string>()
  #definitions: Definitions | null = null
  #policy: NamePolicy | undefined
  #texts = new Memo<Verdict>(REMEMBERED)
  #effects = new Memo<Effect>(REMEMBERED)
  #repeatable = new Memo<boolean>(REMEMBERED)
  readonly #vouched: ReadonlySet<string>
  readonly #effectOf = (text: string) => effectOf(text, this.read(text), this.#policy ?? SHIPPED_ONLY)
  readonly #isRepeatable = (text: string) => !callsOwn(text, this.#knowledge.definitions, this.#vouched)
  readonly #inspect = (text: string) => inspect(text, this.#policy)
  /** Something was learned that may have been an odd moment's; when to forget it. */
  #passing = false
  #forgetAt: number | null = null
  #legible = true
  #version = 0

  constructor({ names }: Pick<Config, 'names'>, knowledge: Knowledge) {
    this.#names = names
    this.#knowledge = knowledge
    this.#vouched = new Set(names.replicaSafeFunctions.map(kept))
  }

  get version(): number {
    this.#refresh()
    return this.#version
  }

  read(text: string): Verdict {
    this.#refresh()
    return this.#legible ? this.#texts.of(text, this.#inspect) : { ...ILLEGIBLE, hint: hintOf(text) }
  }

  effect(text: string): Effect {
    return this.read(text).intent === 'read' ? 'none' : this.#effects.of(text, this.#effectOf)
  }

  /** What of the text leaves state in its session for sure; null: nothing. */
  stateLeftBy(text: string): string | null {
    return this.effect(text) === 'taints' ? stateLeftBy(text, this.read(text), this.#policy ?? SHIPPED_ONLY) : null
  }

  /** One statement that only reads, and calls no function of the application's that the options do not vouch for: twice does no harm. */
  isRepeatable(text: string): boolean {
    const { intent, single } = this.read(text)
    return intent === 'read' && single && this.#repeatable.of(text, this.#isRepeatable)
  }

  get isLegible(): boolean {
    return this.#legible
  }

  /** Whether every server and session reads string literals as the lexer does. */
  setLegible(is: boolean): void {
    if (is === this.#legible) return
    this.#legible = is
    this.#version++
  }

  /** A replica refused the text, which is a write from now on. Gives the name in it that is to blame, if one is found. */
  remember(text: string, { code, kind }: Failure): string | null {
    if (kind !== 'role') this.#passing = true
    const reason = `was refused by a replica (${code})`
    const name = culprit(text, this.#knowledge.definitions)
    if (name !== null && this.#learned.size < REMEMBERED) {
      this.#learned.add(name)
      this.#follow(this.#knowledge.definitions, this.#learned)
    }
    this.#texts.put(text, { ...this.read(text), intent: 'write', word: name ?? '', reason })
    this.#version++
    return name
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

  /** What replicas refused under other definitions says nothing any more. */
  #refresh(): void {
    const { definitions } = this.#knowledge
    if (definitions !== this.#definitions) this.#follow(definitions)
  }

  #follow(definitions: Definitions, learned?: ReadonlySet<string>): void {
    if (learned === undefined) this.#learned.clear()
    this.#definitions = definitions
    this.#policy = policyOf(this.#names, definitions, this.#learned)
    this.#texts = new Memo(REMEMBERED)
    this.#effects = new Memo(REMEMBERED)
    this.#repeatable = new Memo(REMEMBERED)
    this.#version++
  }
}
