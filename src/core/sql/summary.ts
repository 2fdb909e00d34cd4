// SQL text -> a summary of few words, the same for all statements of a kind: its verbs and what they are about, in the order
// of the text, as OpenTelemetry's `db.query.summary` has it. For people and for grouping: decides nothing, shows no value.
// https://opentelemetry.io/docs/specs/semconv/db/database-spans/#generating-a-summary-of-the-query

import { Kind, Lexer } from './lexer.js'
import { HEADS } from './statements.js'

export interface Summary {
  /** The first verb that is not a part of another: `SELECT`, `INSERT`, `CREATE TABLE`. Empty: it could not be read. */
  readonly operation: string
  /** `SELECT orders customers`, `INSERT archive SELECT orders` */
  readonly text: string
}

/** The longest that the conventions allow; it ends with a whole word. */
const LONGEST = 255
/** More parts than these do not help to tell kinds of statements apart. */
const MOST_TOKENS = 2000

const CHANGES: ReadonlySet<string> = new Set(['insert', 'update', 'delete', 'merge'])
/** Behind these in a statement that defines something its kind stands, perhaps of two words, then its name. */
const DEFINES: ReadonlySet<string> = new Set(['create', 'alter', 'drop', 'comment', 'refresh', 'reindex'])
const KINDS: ReadonlySet<string> = new Set(
  `table view index sequence function procedure aggregate type domain schema database extension role user group trigger
  policy publication subscription server statistics tablespace operator cast collation conversion language rule column
  constraint routine transform method default`.split(/\s+/)
)
/** Between CREATE and the kind of what it makes. A table may be named event, so behind FROM none of these is passed over. */
const BEFORE_KIND: ReadonlySet<string> = new Set(
  'or replace temp temporary unlogged global local unique materialized recursive foreign event access on'.split(' ')
)
/** Between the kind and the name. */
const BEFORE_NAME: ReadonlySet<string> = new Set('concurrently if not exists only on'.split(' '))
/** Between VACUUM and the name. */
const OPTIONS: ReadonlySet<string> = new Set('full freeze verbose analyze table only'.split(' '))
/** Before the name of a table: reserved, so none is one itself. */
const BEFORE_TABLE: ReadonlySet<string> = new Set('into from table only lateral with'.split(' '))
/** The second word of a kind that has two, and no name. */
const NAMELESS: ReadonlyMap<string, string> = new Map([
  ['user', 'mapping'],
  ['default', 'privileges'],
])
/** Of these SELECT is no verb but a privilege, or what a policy is for. */
const PRIVILEGES: ReadonlySet<string> = new Set(['GRANT', 'REVOKE', 'CREATE POLICY', 'ALTER DEFAULT PRIVILEGES'])
/** Verbs whose target stands right behind them, the word TABLE in between or not. */
const DIRECT: ReadonlySet<string> = new Set([
  'truncate',
  'copy',
  'call',
  'lock',
  'vacuum',
  'analyze',
  'cluster',
  'table',
])

interface Level {
  /** A list of tables goes on: a comma is followed by the next. */
  listing: boolean
  /** FROM of this level would be a list of tables: it has a verb, and has not had its list. */
  selects: boolean
}

/** Never throws; of a text that cannot be read, what stands before that. */
export function summaryOf(sql: string): Summary {
  return new Reading(sql).summary()
}

class Reading {
  readonly #sql: string
  readonly #lexer: Lexer
  readonly #levels: Level[] = [{ listing: false, selects: false }]
  readonly #parts: string[] = []
  #length = 0
  #operation = ''
  /** The word before, as the server knows it; empty behind anything else. */
  #previous = ''
  #atStart = true
  /** Behind EXPLAIN: its options, then a statement. */
  #explains = false
  /** SELECT is no verb outside of parentheses. */
  #privileges = false
  /** What stands here is no SQL, or the server may read it in another way: it may be a value. */
  #lost = false
  /** The next name is what the last verb is about, but for words that are no names there. */
  #expects = false
  #passes = BEFORE_TABLE
  #kind: Kind = Kind.end
  /** `operation` is that of an outermost statement, not of a list of WITH. */
  #hasMain = false

  constructor(sql: string) {
    this.#sql = sql
    this.#lexer = new Lexer(sql)
  }

  summary(): Summary {
    this.#next()
    for (let count = 0; count < MOST_TOKENS; count++) {
      if (this.#kind === Kind.end || this.#kind === Kind.bad || this.#lost || this.#length > LONGEST) break
      this.#token()
    }
    return { operation: this.#operation, text: this.#parts.join(' ') }
  }

  #next(): void {
    this.#kind = this.#lexer.next()
  }

  #token(): void {
    const level = this.#levels.at(-1) ?? { listing: false, selects: false }
    if (this.#kind === Kind.word) this.#word(level)
    else if (this.#kind === Kind.name && this.#expects) this.#target()
    else {
      if (this.#kind === Kind.text && this.#lexer.doubtful) this.#lost = true
      this.#sign(level)
      const bracket = this.#kind === Kind.open || this.#kind === Kind.close
      this.#previous = bracket ? this.#sql.charAt(this.#lexer.start) : ''
      this.#next()
    }
  }

  #sign(level: Level): void {
    switch (this.#kind) {
      case Kind.open:
        this.#levels.push({ listing: level.listing && this.#expects, selects: false })
        // A subquery or joins in the place of a table: their own words tell.
        this.#expects &&= level.listing
        break
      case Kind.close:
        if (this.#levels.length > 1) this.#levels.pop()
        this.#expects = false
        break
      case Kind.comma:
        this.#expects = level.listing
        break
      case Kind.semicolon:
        this.#levels.splice(0, Infinity, { listing: false, selects: false })
        this.#expects = false
        this.#explains = false
        this.#privileges = false
        this.#atStart = true
        break
      default:
        // No statement begins like that.
        this.#lost ||= this.#atStart
    }
  }

  #word(level: Level): void {
    const word = this.#lexer.value
    const listed = word === 'values' && this.#previous === '('
    if (this.#explains && ANALYZES.has(word)) {
      this.#push('ANALYZE')
      this.#next()
    } else if (this.#isVerb(word)) this.#verb(word, level)
    else if (this.#expects && !this.#passes.has(word) && !LISTS.has(word) && !listed) this.#target()
    else {
      this.#lost ||= this.#atStart
      // A list of values, or of WITH, in the place of a table.
      if (listed || word === 'with') this.#expects = false
      if (LISTS.has(word)) this.#list(word, level)
      else if (ENDS_LIST.has(word)) level.listing = false
      this.#atStart = false
      this.#previous = word
      this.#next()
    }
  }

  /** SELECT is no name anywhere. The others are verbs where a statement begins; elsewhere words like FOR UPDATE. */
  #isVerb(word: string): boolean {
    if (this.#atStart) return HEADS.has(word)
    if (word === 'select') return this.#previous !== '.' && !(this.#privileges && this.#levels.length === 1)
    if (this.#explains && this.#levels.length === 1) return HEADS.has(word)
    return CHANGES.has(word) && (this.#previous === '(' || this.#previous === ')')
  }

  #verb(word: string, level: Level): void {
    this.#previous = word
    this.#next()
    this.#atStart = false
    this.#explains = word === 'explain'
    // The summary of WITH is that of its main statement.
    if (word === 'with') return
    const defines = DEFINES.has(word)
    const verb = defines ? this.#defined(word) : word.toUpperCase()
    this.#push(verb)
    const outermost = this.#levels.length === 1
    if (this.#operation === '' || (outermost && !this.#hasMain)) this.#operation = verb
    this.#hasMain ||= outermost
    this.#privileges ||= PRIVILEGES.has(verb)
    this.#expects = (defines && !isNameless(verb)) || word === 'update' || DIRECT.has(word)
    this.#passes = defines ? BEFORE_NAME : DIRECT.has(word) ? OPTIONS : BEFORE_TABLE
    level.listing = word === 'truncate' || word === 'lock'
    level.selects = word === 'select' || word === 'delete' || word === 'update'
  }

  /** CREATE [OR REPLACE] [MATERIALIZED] VIEW -> CREATE VIEW; stops before the name. */
  #defined(word: string): string {
    while (this.#kind === Kind.word && BEFORE_KIND.has(this.#lexer.value)) this.#next()
    const words = [word]
    const take = () => {
      words.push(this.#lexer.value)
      this.#next()
    }
    if (this.#kind === Kind.word && (KINDS.has(this.#lexer.value) || this.#lexer.value === 'system')) take()
    const second = NAMELESS.get(words[1] ?? '')
    if (second !== undefined && this.#kind === Kind.word && this.#lexer.value === second) take()
    return words.join(' ').toUpperCase()
  }

  #list(word: string, level: Level): void {
    this.#passes = BEFORE_TABLE
    if (word === 'from') {
      // IS DISTINCT FROM, EXTRACT(year FROM x): no tables.
      if (!level.selects || this.#previous === 'distinct') return
      level.selects = false
      level.listing = true
      this.#expects = true
    } else if (word === 'into') {
      this.#expects = this.#previous === 'insert' || this.#previous === 'merge' || level.selects
    } else if (word === 'join') {
      this.#expects = level.listing
    } else this.#expects = TAKES_USING.has(this.#parts.at(-2) ?? '')
  }

  /** A name with what qualifies it, as it is written. */
  #target(): void {
    const from = this.#lexer.start
    let end = from
    for (;;) {
      end = this.#lexer.start + this.#written()
      this.#next()
      if (this.#kind !== Kind.dot) break
      this.#next()
      if (!this.#isName()) break
    }
    this.#push(this.#sql.slice(from, end))
    this.#previous = ''
    this.#expects = false
  }

  #isName(): boolean {
    return this.#kind === Kind.word || this.#kind === Kind.name
  }

  /** How long the word or name at hand is in the text. */
  #written(): number {
    if (this.#kind === Kind.word) return this.#lexer.value.length
    let quotes = 2
    for (const character of this.#lexer.value) if (character === '"') quotes++
    return this.#lexer.value.length + quotes
  }

  #push(part: string): void {
    this.#length += part.length + (this.#parts.length > 0 ? 1 : 0)
    if (this.#length <= LONGEST) this.#parts.push(part)
  }
}

/** ALTER SYSTEM, and what has two words, is about nothing that has a name. */
function isNameless(verb: string): boolean {
  return verb.endsWith(' SYSTEM') || verb.split(' ').length > 2
}

const ANALYZES: ReadonlySet<string> = new Set(['analyze', 'analyse'])

/** Behind these a table, or a list of them, may stand. */
const LISTS: ReadonlySet<string> = new Set(['from', 'join', 'using', 'into'])

/** DELETE FROM t USING u; that of a join names columns. */
const TAKES_USING: ReadonlySet<string> = new Set(['DELETE', 'MERGE'])

/** Behind these there are no more tables at this level. */
const ENDS_LIST: ReadonlySet<string> = new Set(
  'where group having order limit offset fetch for union intersect except window returning set values'.split(' ')
)
