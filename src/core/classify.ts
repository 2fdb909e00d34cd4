// SQL text -> what it needs: a read may run on a replica, a write needs the primary, a session statement needs the
// primary and leaves something behind on its connection. One pass over the tokens, without recursion, whatever the
// size or depth. It decides by text and names alone and errs to one side only: what it does not know is a write.
// It never parses, never throws, and never asks a server; what names mean is in names.ts, what words mean in
// statements.ts. https://www.postgresql.org/docs/current/hot-standby.html

import { Kind, Lexer } from './lexer.js'
import {
  type NamePolicy,
  type Objection,
  objectionToCall,
  objectionToMention,
  QUERY_TEXT,
  sessionCall,
} from './names.js'
import { BEFORE_EXPRESSION, HEADS, type Head, NAMING, NO_CALL_AFTER, ROLES, Role } from './statements.js'

export type { NamePolicy } from './names.js'

export type Intent = 'read' | 'write' | 'session'

export interface Verdict {
  readonly intent: Intent
  /** The deciding word or name as the user would recognise it: 'INSERT', 'nextval', 'FOR UPDATE', ';'. */
  readonly word: string
  readonly reason: string
  /** Exactly one statement; comments and empty statements do not count. */
  readonly single: boolean
  /** If a server refused it before doing anything, another may run it. */
  readonly repeatable: boolean
  /** From a comment before everything else: `pgherd:primary` or `pgherd:replica`. */
  readonly hint: 'primary' | 'replica' | null
}

/** What a statement needs. Unknown functions, unreadable and empty text count as writes. */
export function classify(sql: string): Intent {
  return inspect(sql).intent
}

/** The same with the reason. `policy` adds what is known about names that PostgreSQL does not ship. */
export function inspect(sql: string, policy?: NamePolicy): Verdict {
  const lexer = new Lexer(sql)
  const hint = HINTS.get(lexer.leadingComment()?.trim() ?? '') ?? null
  // The wire protocol ends a string at its first NUL: what the server would see is not what stands here.
  if (sql.includes('\0')) {
    return { intent: 'write', word: 'NUL', reason: CANNOT_READ, single: false, repeatable: false, hint }
  }
  return new Reading(lexer, sql, policy).verdict(hint)
}

const HINTS: ReadonlyMap<string, 'primary' | 'replica'> = new Map([
  ['pgherd:primary', 'primary'],
  ['pgherd:replica', 'replica'],
])

const CANNOT_READ = 'cannot be read as SQL'

/** The first objection of the graver kind decides. */
const GRAVITY = { read: 0, write: 1, session: 2 } as const satisfies Record<Intent, number>

const OTHER: Head = { kind: 'write', repeatable: false, reason: 'not a statement known to only read' }

const LOCKS: ReadonlyMap<string, string> = new Map([
  ['update', 'FOR UPDATE'],
  ['share', 'FOR SHARE'],
  ['no', 'FOR NO KEY UPDATE'],
  ['key', 'FOR KEY SHARE'],
])

/** What may follow a closing parenthesis in the list of WITH, other than the statement itself. */
const WITH_GOES_ON: ReadonlySet<string> = new Set(['as', 'search', 'cycle'])

// What is remembered of a level of parentheses.
const WITH_LIST = 1 // between WITH and the statement it belongs to: `, name (` begins a query, not a call
const GROUPING = 2 // in GROUP BY, where ROLLUP and CUBE are syntax
const NO_OPERAND = 4 // behind DISTINCT ON (…) and OPERATOR(…) an expression begins, and so perhaps a call
const OPERATOR = 8 // in OPERATOR(…)
const FROM_LIST = 16 // between FROM and WHERE: behind a comma stands a table, which may have an alias with columns
const QUERY = 32 // in WITH x AS (…) and COPY (…), where a statement begins
const REWRITE = 64 // in ts_rewrite(…): with two arguments the second is SQL, with three it is not
const ARGUMENT = 128 // one for each comma in it, two at most

class Reading {
  readonly #lexer: Lexer
  readonly #sql: string
  readonly #policy: NamePolicy | undefined

  #intent: Intent = 'read'
  #word = ''
  #reason = ''
  #count = 0
  #repeatable = true
  #readable = true

  // Of the current statement.
  #head: Head | null = null
  #reads = false // so far: a SELECT or COPY
  #copied = false // COPY … TO STDOUT
  #defining = false // still in CREATE [OR REPLACE] [LOCAL | GLOBAL] …
  #body = 0 // BEGIN ATOMIC and CASE not yet closed by END
  #level = 0
  readonly #levels: number[] = []
  #rewrites = false // the parenthesis that follows belongs to ts_rewrite

  // Of the token before the current one.
  #kind: Kind = Kind.semicolon
  #value = ''
  #roles = 0
  #label = false // a word that only names, because a dot or AS is before it, whatever keyword it looks like
  #dotted = false
  #operand = false // an operand ended with it: no call can begin behind it
  #callable = true // if it is a name: a call may begin where the whole name began
  #item = false // if it is a name: the first word of an item in a list
  #qualifier = '' // if it is a name: the part before it
  #before = '' // the keyword before it, or ''

  constructor(lexer: Lexer, sql: string, policy: NamePolicy | undefined) {
    this.#lexer = lexer
    this.#sql = sql
    this.#policy = policy
  }

  verdict(hint: Verdict['hint']): Verdict {
    for (;;) {
      const kind = this.#lexer.next()
      if (this.#kind === Kind.word || this.#kind === Kind.name) {
        if (kind === Kind.open && this.#isCall()) this.#call()
        else this.#mention()
      }
      if (kind === Kind.bad) this.#unreadable()
      if (kind === Kind.bad || kind === Kind.end) break
      if (kind === Kind.word || kind === Kind.name) this.#name(kind, this.#lexer.value)
      else if (kind === Kind.semicolon) this.#separate()
      else this.#take(kind)
    }
    this.#finish()
    if (this.#count === 0) this.#object('write', '', 'holds no statement')
    const single = this.#count === 1 && this.#readable
    return {
      intent: this.#intent,
      word: this.#word,
      reason: this.#reason,
      single,
      repeatable: single && this.#repeatable && this.#intent !== 'session',
      hint,
    }
  }

  #take(kind: Kind): void {
    let operand = kind === Kind.text || kind === Kind.number
    if (kind === Kind.open || kind === Kind.subscript) this.#open(kind)
    else if (kind === Kind.close || kind === Kind.bracket) operand = this.#close()
    else if (kind === Kind.comma && this.#level >= REWRITE && this.#level < REWRITE + 2 * ARGUMENT)
      this.#level += ARGUMENT
    else if (this.#head === null) this.#begin('')
    // A dot keeps the name before it, for the part behind it.
    this.#qualifier = kind === Kind.dot && this.#isName() ? this.#value : '.'
    this.#callable = kind === Kind.dot && this.#isName() ? this.#callable : true
    this.#before = ''
    this.#kind = kind
    this.#value = ''
    this.#roles = 0
    this.#label = false
    this.#operand = operand
  }

  #name(kind: Kind, value: string): void {
    const dotted = this.#kind === Kind.dot
    const label = dotted || (this.#isKeyword() && this.#value === 'as')
    const roles = label || kind === Kind.name ? 0 : (ROLES.get(value) ?? 0)
    const operand = label || kind === Kind.name || ((roles & Role.reserved) === 0 && this.#atTable())
    if (this.#head === null) this.#begin(kind === Kind.word ? value : '')
    else if (kind === Kind.word && !label) this.#keyword(value, roles)
    if (!dotted) {
      this.#callable = this.#callBegins()
      this.#item = this.#itemBegins()
      this.#qualifier = ''
    }
    if (value === 'with' && roles !== 0 && (this.#kind === Kind.semicolon || this.#kind === Kind.open)) {
      this.#level |= WITH_LIST
    }
    this.#before = this.#isKeyword() ? this.#value : ''
    this.#kind = kind
    this.#value = value
    this.#roles = roles
    this.#label = label
    this.#dotted = dotted
    this.#operand = operand
  }

  #itemBegins(): boolean {
    if (this.#kind === Kind.comma || this.#kind === Kind.open) return true
    return this.#isKeyword() && (this.#value === 'by' || this.#value === 'distinct' || this.#value === 'all')
  }

  /** In FROM, where a table stands and never a keyword that an expression could follow. */
  #atTable(): boolean {
    if (this.#kind === Kind.comma) return (this.#level & FROM_LIST) !== 0
    if (!this.#isKeyword()) return false
    return this.#value === 'join' || (this.#value === 'from' && this.#before !== 'distinct')
  }

  #isName(): boolean {
    return this.#kind === Kind.word || this.#kind === Kind.name
  }

  #isKeyword(): boolean {
    return this.#kind === Kind.word && !this.#label
  }

  /** Whether a call may begin behind the last token; behind an operand, a type cast or AS it cannot. */
  #callBegins(): boolean {
    if (this.#operand || this.#kind === Kind.cast) return false
    if (this.#kind === Kind.comma) return (this.#level & WITH_LIST) === 0
    return !(this.#isKeyword() && NAMING.has(this.#value))
  }

  /** The last token is a name and a parenthesis follows. */
  #isCall(): boolean {
    if (!this.#callable) return false
    if (this.#head?.kind === 'copy' && (this.#copied || this.#levels.length === 0)) return false
    if (!this.#isKeyword()) return true
    const word = this.#value
    if ((this.#roles & Role.syntax) !== 0 || word === 'operator') return false
    if (NO_CALL_AFTER.get(word)?.has(this.#before) === true) return false
    switch (word) {
      case 'rollup':
      case 'cube':
        return (this.#level & GROUPING) === 0 || !this.#item
      case 'materialized':
        return (this.#level & WITH_LIST) === 0
      case 'join': // behind the name of a table; what else can be before it is in the table above
        if ((this.#level & FROM_LIST) === 0 || this.#before === '') return true
        return ROLES.has(this.#before) || BEFORE_EXPRESSION.has(this.#before)
    }
    return true
  }

  #call(): void {
    if (!this.#reads) {
      this.#weigh(this.#value, sessionCall(this.#value))
      return
    }
    const objection = objectionToCall(this.#value, this.#qualifier, this.#policy)
    const builtin = this.#qualifier === '' || this.#qualifier === 'pg_catalog'
    this.#rewrites = builtin && this.#value === 'ts_rewrite' && objection === QUERY_TEXT
    if (!this.#rewrites) this.#weigh(this.#value, objection)
  }

  /** The last token is a name that is not called. */
  #mention(): void {
    if ((this.#roles & Role.reserved) !== 0 || (this.#label && !this.#dotted)) return
    const name = this.#value
    if (this.#reads) this.#weigh(name, objectionToMention(name, this.#dotted, this.#policy))
    else if (name.startsWith('pg_temp')) this.#weigh(name, objectionToMention(name, false, undefined))
  }

  #begin(word: string): void {
    const head = HEADS.get(word) ?? OTHER
    this.#head = head
    this.#reads = head.kind === 'read' || head.kind === 'copy'
    this.#defining = word === 'create'
    this.#repeatable &&= head.repeatable
    const shown = word === '' ? this.#sql.slice(this.#lexer.start, this.#lexer.start + 16) : word.toUpperCase()
    if (++this.#count > 1) this.#object('write', ';', 'more than one statement')
    if (head.kind === 'write' || head.kind === 'session') this.#object(head.kind, shown, head.reason)
    else if (this.#word === '') {
      this.#word = shown
      this.#reason = 'only reads'
    }
  }

  #keyword(word: string, roles: number): void {
    const previous = this.#isKeyword() ? this.#value : ''
    if (previous === 'for' && this.#reads && LOCKS.has(word)) {
      this.#object('write', LOCKS.get(word) ?? '', 'takes row locks, which a standby refuses (25006)')
    }
    if (this.#reads && this.#statementBegins()) this.#nest(word)
    if (this.#defining) this.#define(word, roles)
    if (roles === 0) return
    if ((roles & Role.clause) !== 0) this.#level &= ~(WITH_LIST | GROUPING)
    if ((roles & Role.from) !== 0 && previous !== 'distinct') this.#level |= FROM_LIST
    if ((roles & Role.by) !== 0 && previous === 'group') this.#level |= GROUPING
    if ((roles & Role.body) !== 0 && this.#head?.kind === 'write') this.#inBody(word, previous)
    if (!this.#reads) return
    if ((roles & Role.change) !== 0 && !this.#isColumn()) {
      this.#object('write', word.toUpperCase(), 'changes rows')
    } else if ((roles & Role.into) !== 0) {
      this.#object('write', 'INTO', 'SELECT INTO makes a table')
    } else if ((roles & Role.temporary) !== 0 && previous === 'into') {
      this.#object('session', word.toUpperCase(), 'makes a temporary table')
    } else if ((roles & Role.copyTarget) !== 0 && previous === 'to' && this.#levels.length === 0) {
      this.#copied = true
    }
  }

  // UPDATE, DELETE … may name a column or table. A statement never begins behind a comma, an operator or a reserved
  // word; behind anything else the word is taken for one.
  #isColumn(): boolean {
    if (this.#kind === Kind.comma || this.#kind === Kind.operator || this.#kind === Kind.cast) return true
    return this.#isKeyword() && (this.#roles & Role.reserved) !== 0
  }

  /** Where only a query or a change of rows may stand: the server refuses anything else, but it is no read. */
  #statementBegins(): boolean {
    if (this.#kind === Kind.open) return (this.#level & QUERY) !== 0
    return this.#kind === Kind.close && (this.#level & WITH_LIST) !== 0
  }

  #nest(word: string): void {
    const head = HEADS.get(word) ?? OTHER
    if (head.kind === 'read' || (this.#kind === Kind.close && WITH_GOES_ON.has(word))) return
    this.#object('write', word.toUpperCase(), head.reason)
  }

  #define(word: string, roles: number): void {
    if ((roles & Role.temporary) === 0) this.#defining = word === 'or' || word === 'replace'
    else if (word.startsWith('temp')) this.#object('session', word.toUpperCase(), 'makes a temporary object')
  }

  /** The semicolons within BEGIN ATOMIC … END belong to the CREATE FUNCTION around them. */
  #inBody(word: string, previous: string): void {
    if (word === 'atomic') {
      if (previous === 'begin') this.#body = 1
    } else if (this.#body > 0) this.#body += word === 'case' ? 1 : -1
  }

  #open(kind: Kind): void {
    let opened = this.#rewrites ? REWRITE : 0
    this.#rewrites = false
    if (this.#value === 'materialized' && (this.#level & WITH_LIST) !== 0) opened = QUERY
    else if (kind === Kind.open && this.#isKeyword()) {
      if (this.#value === 'on' && this.#before === 'distinct') opened = NO_OPERAND
      else if (this.#value === 'operator') opened = NO_OPERAND | OPERATOR
      else if (this.#value === 'sets') opened = GROUPING
      else if (this.#value === 'as' && (this.#level & WITH_LIST) !== 0) opened = QUERY
      else if (this.#value === 'copy' && this.#levels.length === 0) opened = QUERY
    }
    // Behind a WITH query comes the statement itself, which may begin with a parenthesis.
    if (this.#kind === Kind.close) this.#level &= ~WITH_LIST
    this.#levels.push(this.#level)
    this.#level = opened
  }

  /** Whether the parentheses were an operand. */
  #close(): boolean {
    const closed = this.#level
    const outer = this.#levels.pop()
    if (outer === undefined) this.#unreadable()
    this.#level = outer ?? 0
    if ((closed & REWRITE) !== 0 && closed < REWRITE + 2 * ARGUMENT) this.#weigh('ts_rewrite', QUERY_TEXT)
    if ((closed & OPERATOR) !== 0 && this.#kind !== Kind.operator) {
      this.#weigh('operator', objectionToCall('operator', '', this.#policy))
    }
    return (closed & NO_OPERAND) === 0
  }

  #separate(): void {
    // Only CREATE RULE and SQL-standard function bodies hold semicolons.
    const inside = (this.#levels.length > 0 || this.#body > 0) && this.#defines()
    if (!inside) this.#finish()
    this.#kind = Kind.semicolon
    this.#value = ''
    this.#roles = 0
    this.#label = false
    this.#operand = false
    this.#before = ''
  }

  #defines(): boolean {
    return this.#head === HEADS.get('create')
  }

  #finish(): void {
    if (this.#head?.kind === 'copy' && !this.#copied) this.#object('write', 'COPY', this.#head.reason)
    if (this.#levels.length > 0) this.#unreadable()
    this.#head = null
    this.#copied = false
    this.#body = 0
    this.#level = 0
    this.#levels.length = 0
  }

  #unreadable(): void {
    this.#object('write', this.#sql.slice(this.#lexer.start, this.#lexer.start + 16), CANNOT_READ)
    this.#readable = false
  }

  #weigh(word: string, objection: Objection | null): void {
    if (objection !== null) this.#object(objection.intent, word, objection.reason)
  }

  #object(intent: 'write' | 'session', word: string, reason: string): void {
    if (GRAVITY[intent] <= GRAVITY[this.#intent]) return
    this.#intent = intent
    this.#word = word
    this.#reason = reason
  }
}
