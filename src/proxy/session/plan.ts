// What a unit does to its client's session, by the texts in it: whether it begins a transaction, sets what is followed, leaves state that
// pins the client to a connection, or may leave some unseen. Values only; texts are read by the router.

import type { Verdict } from '../../core/sql/classify.js'
import { closingOf, type Effect, type Opening, openingOf } from '../../core/sql/effects.js'
import { Kind, Lexer } from '../../core/sql/lexer.js'
import { Memo } from '../../core/sql/memo.js'
import { type Undone, weaker } from '../../core/undone.js'
import type { Reader } from '../../router/statement.js'
import { type Made, settingOf } from './settings.js'

/** What one text does. */
export interface TextPlan {
  readonly verdict: Verdict
  /** BEGIN, and nothing else. */
  readonly opening: Opening | null
  /** What it sets for the session. */
  readonly made: readonly Made[]
  /** A word for the state that it leaves in its session for sure; null: it leaves none. */
  readonly pins: string | null
  /** It may leave state unseen: what it calls is not known. The connection is cleaned before another client gets it. */
  readonly soils: boolean
  readonly discards: boolean
  /** A prepared statement that it gives up; '*': all. Null: none. */
  readonly deallocates: string | null
  /** ROLLBACK TO, or several statements that end transactions: what was set in this one may be undone in part. */
  readonly rewinds: boolean
  /** ROLLBACK: all that was set in the transaction is undone. */
  readonly undoes: boolean
}

/** What the router knows of texts. */
export interface TextReader extends Reader {
  stateLeftBy(text: string): string | null
}

const NONE: readonly Made[] = []
const REMEMBERED = 2000

export class Plans {
  readonly #texts: TextReader
  #version = -1
  #memo = new Memo<TextPlan>(REMEMBERED)
  readonly #make = (text: string) => planOf(text, this.#texts)

  constructor(texts: TextReader) {
    this.#texts = texts
  }

  of(text: string): TextPlan {
    const { version } = this.#texts
    if (version !== this.#version) {
      this.#version = version
      this.#memo = new Memo(REMEMBERED)
    }
    return this.#memo.of(text, this.#make)
  }
}

function planOf(text: string, texts: TextReader): TextPlan {
  const verdict = texts.read(text)
  const plain = {
    verdict,
    opening: null,
    made: NONE,
    pins: null,
    soils: false,
    discards: false,
    deallocates: null,
    rewinds: !verdict.single && verdict.controls && CONTROLS.test(text),
    undoes: false,
  }
  if (verdict.intent === 'read') return plain
  const effect = texts.effect(text)
  const deallocates = deallocatedBy(text)
  if (effect === 'none') return { ...plain, deallocates }
  if (effect === 'transaction')
    return {
      ...plain,
      opening: openingOf(text),
      rewinds: plain.rewinds || /\brollback\b[\s\S]*\bto\b/i.test(text),
      undoes: closingOf(text)?.commits === false,
    }
  // Among others it is refused (25001), as they are one transaction.
  if (effect === 'discards' && verdict.single) return { ...plain, discards: true, deallocates: '*' }
  return { ...plain, ...stateOf(text, verdict, effect, texts), deallocates }
}

/** Of a text that taints. */
function stateOf(
  text: string,
  verdict: Verdict,
  _: Effect,
  texts: TextReader
): Pick<TextPlan, 'made' | 'pins' | 'soils'> {
  const parts = verdict.single ? [text] : statementsIn(text)
  const made: Made[] = []
  let pins: string | null = null
  let soils = false
  for (const part of parts) {
    const found = settingOf(part)
    if (found !== null) made.push(found)
    else if (verdict.single || texts.effect(part) === 'taints') {
      const state = texts.stateLeftBy(part)
      if (state !== null) pins ??= state
      else soils = true
    }
  }
  // Begun and ended within the text: which of them hold is not known from the outside.
  if (made.length > 0 && !verdict.single && verdict.controls && CONTROLS.test(text)) pins ??= 'SET'
  return { made, pins, soils }
}

const CONTROLS = /\b(?:begin|start|commit|rollback|abort|end|savepoint)\b/i

/** A text, cut at the semicolons between its statements. */
export function statementsIn(text: string): readonly string[] {
  const lexer = new Lexer(text)
  const parts: string[] = []
  let from = 0
  for (let kind = lexer.next(); kind !== Kind.end; kind = lexer.next()) {
    if (kind === Kind.bad) return [text]
    if (kind !== Kind.semicolon) continue
    parts.push(text.slice(from, lexer.start))
    from = lexer.start + 1
  }
  parts.push(text.slice(from))
  return parts.filter((part) => part.trim() !== '')
}

const DEALLOCATE = /^[\s;]*deallocate\s+(?:prepare\s+)?(?:(all)|"((?:[^"]|"")+)"|([a-z_][\w$]*))[\s;]*$/i

function deallocatedBy(text: string): string | null {
  const [whole, all, quoted, plain] = DEALLOCATE.exec(text) ?? []
  if (whole === undefined) return null
  return all !== undefined ? '*' : (quoted?.replaceAll('""', '"') ?? plain?.toLowerCase() ?? null)
}

/** Several texts of one unit, read as one: as strictly as the strictest of them. */
export class Joined implements Reader {
  readonly #reader: Reader
  readonly #texts: readonly string[]
  #version = -1
  #verdict: Verdict | null = null

  constructor(reader: Reader, texts: readonly string[]) {
    this.#reader = reader
    this.#texts = texts
  }

  get version(): number {
    return this.#reader.version
  }

  read(text: string): Verdict {
    const { version } = this.#reader
    if (this.#verdict === null || version !== this.#version) {
      this.#version = version
      this.#verdict =
        this.#texts.length === 0
          ? this.#reader.read(text)
          : strictest(this.#texts.map((each) => this.#reader.read(each)))
    }
    return this.#verdict
  }

  effect(): Effect {
    const effects = this.#texts.map((each) => this.#reader.effect(each))
    return EFFECTS.find((effect) => effects.includes(effect)) ?? 'none'
  }
}

const EFFECTS: readonly Effect[] = ['taints', 'discards', 'transaction']

function strictest(verdicts: readonly Verdict[]): Verdict {
  const [first] = verdicts
  const found =
    verdicts.find(({ intent }) => intent === 'write') ?? verdicts.find(({ intent }) => intent !== 'read') ?? first
  if (found === undefined) throw new Error('a unit without a text')
  let undone: Undone = 'whole'
  for (const verdict of verdicts) undone = weaker(undone, verdict.undone)
  const hint = verdicts.find((verdict) => verdict.hint === 'primary')?.hint ?? first?.hint ?? null
  return { ...found, undone, single: false, defines: verdicts.some(({ defines }) => defines), hint }
}
