// Makes SQL statements of which it is known, because of how they were made, whether a replica may run them. The same
// seed makes the same statements. What SQL is made of stands in grammar-rules.ts, grammar-queries.ts and
// grammar-writes.ts; statements are dressed up in grammar-mutations.ts.

import { QUERIES } from './grammar-queries.js'
import { CLOSED, EXPRESSIONS, LITERALS } from './grammar-rules.js'
import { INSTEAD, WRITES } from './grammar-writes.js'

/**
 * Productions, as they are written in their table, that the classifier is known to misjudge; they are left out, and
 * are here to be put right. Empty if all is well.
 */
export const KNOWN: readonly string[] = []

export interface Token {
  readonly text: string
  /** `name`: an unquoted name that would mean the same in quotes. `mark`: a bracket, comma, dot, colon or cast. */
  readonly shape: 'keyword' | 'name' | 'quoted' | 'literal' | 'number' | 'operator' | 'mark'
}

export interface Statement {
  readonly sql: string
  readonly kind: 'read' | 'write'
  readonly tokens: readonly Token[]
  /** Can stand in parentheses wherever a query can, and has columns. */
  readonly query: boolean
}

export interface Random {
  /** 0, 1, …, limit - 1. */
  below(limit: number): number
  chance(share: number): boolean
  pick<T>(from: readonly T[]): T
}

/** sfc32: 128 bits of state, and no cycle shorter than 2 ** 32, whatever the seed. */
export function seeded(seed: number): Random {
  let [a, b, c, counter] = [seed | 0, 0x9e3779b9, 0x243f6a88, 1]
  const next = () => {
    const sum = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return (sum >>> 0) / 2 ** 32
  }
  for (let i = 0; i < 16; i++) next()
  const below = (limit: number) => Math.floor(next() * limit)
  return {
    below,
    chance: (share) => next() < share,
    pick: (from) => {
      const picked = from[below(from.length)]
      if (picked === undefined) throw new Error('nothing to pick from')
      return picked
    },
  }
}

interface Part {
  readonly token: Token | undefined
  readonly rule: string
  /** `+`: rows named t are in sight from here on; `!`: they are not. */
  readonly scope: string
}

interface Production {
  readonly parts: readonly Part[]
  readonly since: number
  /** How deep it goes at least. */
  depth: number
}

const QUOTED_OR_BARE = /(?:[EBXNebxn]|[Uu]&)?'(?:[^']|'')*'|"(?:[^"]|"")*"|\$\$.*?\$\$|\S+/g

export function tokenOf(text: string): Token {
  if (/^[A-Z][A-Z0-9_]*$/.test(text)) return { text, shape: 'keyword' }
  if (/^[\p{Ll}_][\p{L}\p{N}_$]*$/u.test(text)) return { text, shape: 'name' }
  if (/^\.?\d/.test(text)) return { text, shape: 'number' }
  if (text.startsWith('"')) return { text, shape: 'quoted' }
  if (/['$]/.test(text)) return { text, shape: 'literal' }
  return { text, shape: /^(?:[()[\],.;:]|::)$/.test(text) ? 'mark' : 'operator' }
}

/** The tokens of a text that is written as the productions are. */
export const tokensOf = (written: string): readonly Token[] => (written.match(QUOTED_OR_BARE) ?? []).map(tokenOf)

function partOf(text: string): Part {
  const [, rule = '', scope = ''] = /^\{(\w+)([+!]?)\}$/.exec(text) ?? []
  return { token: rule === '' ? tokenOf(text) : undefined, rule, scope }
}

function productionOf(written: string): Production {
  const [, since = '0', body = ''] = /^(?:(\d+)\+ )?(.*)$/s.exec(written) ?? []
  return {
    parts: (body.match(QUOTED_OR_BARE) ?? []).map(partOf),
    since: Number(since),
    depth: Number.POSITIVE_INFINITY,
  }
}

const GRAMMAR: ReadonlyMap<string, readonly Production[]> = (() => {
  const grammar = new Map<string, readonly Production[]>()
  for (const [rule, written] of Object.entries({ ...EXPRESSIONS, ...QUERIES, ...WRITES })) {
    grammar.set(rule, written.filter((production) => !KNOWN.includes(production)).map(productionOf))
  }
  const literal = (text: string): Part => ({ token: { text, shape: 'literal' }, rule: '', scope: '' })
  grammar.set(
    'literal',
    LITERALS.map((text) => ({ parts: [literal(text)], since: 0, depth: 1 }))
  )
  measure(grammar)
  return grammar
})()

/** Finds how deep each production goes at least; one that newer servers alone know is never the way out. */
function measure(grammar: ReadonlyMap<string, readonly Production[]>): void {
  const least = (rule: string) => {
    const productions = grammar.get(CLOSED[rule] ?? rule) ?? grammar.get(rule)
    if (productions === undefined) throw new Error(`no production ${rule}`)
    return Math.min(...productions.map(({ since, depth }) => (since > 0 ? Number.POSITIVE_INFINITY : depth)))
  }
  for (let changed = true; changed; ) {
    changed = false
    for (const production of [...grammar.values()].flat()) {
      const depth = 1 + Math.max(0, ...production.parts.map(({ rule }) => (rule === '' ? 0 : least(rule))))
      if (depth < production.depth) changed = true
      production.depth = Math.min(depth, production.depth)
    }
  }
}

/** So long a statement takes the shortest way to its end. */
const LONG = 20
const DEEP = 9

class Sentence {
  readonly tokens: Token[] = []
  readonly #random: Random
  readonly #major: number
  /** So many more places are passed by before something that must not go to a replica takes one; below 0: none. */
  #places: number

  constructor(random: Random, major: number, places: number) {
    this.#random = random
    this.#major = major
    this.#places = places
  }

  get harmless(): boolean {
    return this.#places >= 0
  }

  grow(asked: string, open: boolean, depth: number): void {
    const instead = INSTEAD[asked]
    const rule = (open ? undefined : CLOSED[asked]) ?? asked
    const taken = instead !== undefined && this.#places >= 0 && this.#places-- === 0
    for (const part of this.#choose(taken ? instead : rule, depth).parts) {
      if (part.token !== undefined) this.tokens.push(part.token)
      else this.grow(part.rule, part.scope === '' ? open : part.scope === '+', depth + 1)
    }
  }

  #choose(rule: string, depth: number): Production {
    const all = GRAMMAR.get(rule) ?? []
    const long = this.tokens.length > LONG || depth > DEEP
    const least = long ? Math.min(...all.map((one) => (one.since > 0 ? Number.POSITIVE_INFINITY : one.depth))) : 0
    // One more than the least gives more to choose from, but need not come to an end.
    const most = depth > 2 * DEEP || this.tokens.length > 2 * LONG ? least : least + 1
    for (;;) {
      const one = this.#random.pick(all)
      if (one.since <= this.#major && (!long || (one.depth <= most && one.since === 0))) return one
    }
  }
}

const NEVER = Number.MAX_SAFE_INTEGER

function sentence(random: Random, major: number): Omit<Statement, 'sql'> {
  if (random.chance(0.6)) {
    const read = new Sentence(random, major, NEVER)
    read.grow('read', false, 0)
    return described(read.tokens, 'read')
  }
  if (random.chance(0.25)) {
    const write = new Sentence(random, major, NEVER)
    write.grow('write', false, 0)
    return described(write.tokens, 'write')
  }
  for (let places = random.below(30); ; places = random.below(places)) {
    const poisoned = new Sentence(random, major, places)
    poisoned.grow('query', false, 0)
    if (!poisoned.harmless) return described(poisoned.tokens, 'write')
  }
}

function described(tokens: readonly Token[], kind: Statement['kind']): Omit<Statement, 'sql'> {
  const head = tokens.find(({ text }) => text !== '(')?.text ?? ''
  const columns = tokens.at(-1)?.text !== 'SELECT' && tokens[tokens.findIndex(({ text }) => text === 'SELECT') + 1]
  const query = /^(?:SELECT|VALUES|TABLE|WITH)$/.test(head) && columns !== false
  return { kind, tokens, query }
}

export function generate(seed: number, count: number, major = 18): Statement[] {
  const random = seeded(seed)
  return Array.from({ length: count }, () => {
    const made = sentence(random, major)
    return { sql: render(made.tokens, random.chance(0.3)), ...made }
  })
}

/** Whether two tokens would become others without a blank between them. */
export function apart(before: Token, after: Token): boolean {
  const wordy = ({ shape }: Token) => shape !== 'operator' && shape !== 'mark'
  if (before.shape === 'operator' && after.shape === 'operator') return true
  if (before.shape === 'number' && after.text === '.') return true
  if (before.text.startsWith(':') && after.text.startsWith(':')) return true
  if (!wordy(before) || !wordy(after)) return before.text === '.' && after.shape === 'number'
  if (before.shape === 'keyword') return !/^['"]/.test(after.text)
  return (before.shape !== 'literal' && before.shape !== 'quoted') || after.shape !== 'keyword'
}

/** As a person would write it. */
export function render(tokens: readonly Token[], capitals: boolean): string {
  let sql = ''
  let previous: Token | undefined
  for (const token of tokens) {
    if (previous !== undefined && (apart(previous, token) || blankBetween(previous, token))) sql += ' '
    sql += token.shape === 'keyword' && !capitals ? token.text.toLowerCase() : token.text
    previous = token
  }
  return sql
}

function blankBetween(before: Token, after: Token): boolean {
  if (/^(?:[([.]|::)$/.test(before.text) || /^(?:[)\].,;[]|::)$/.test(after.text)) return false
  return after.text !== '(' || before.shape !== 'name'
}
