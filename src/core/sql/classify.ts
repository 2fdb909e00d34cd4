// SQL text -> what it needs: a read may run on a replica, a write needs the primary, a session statement needs the
// primary and leaves something behind on its connection. One pass over the tokens, without recursion, whatever the
// size or depth. It decides by text and names alone and errs to one side only: what it does not know is a write.
// It never parses, never throws, and never asks a server; what names mean is in names.ts, what words mean in
// statements.ts, and whether a name is called in position.ts. https://www.postgresql.org/docs/current/hot-standby.html

import { type Undone, weaker } from '../undone.js'
import { Kind, Lexer } from './lexer.js'
import {
  kept,
  type NamePolicy,
  objectionToCall,
  objectionToMention,
  SHIPPED_ONLY,
  sessionCall,
  undoneOfCall,
} from './names.js'
import { type Objection, QUERY_TEXT } from './objections.js'
import { Position } from './position.js'
import { CONTROL, HEADS, type Head, LOCKS, OTHER, PLAIN_OBJECTS, ROLES, Role, WITH_GOES_ON } from './statements.js'
import { DEFINED_ONLY, undoneByCall, undoneByWord } from './undoing.js'
import type { Hint, Intent, Verdict } from './verdict.js'

export type { NamePolicy } from './names.js'
export type { Hint, Intent, Verdict } from './verdict.js'

/** What a statement needs. Unknown functions, unreadable and empty text count as writes. */
export function classify(sql: string): Intent {
  return inspect(sql).intent
}

/** The same with the reason. `policy` adds what is known of names that PostgreSQL does not ship. */
export function inspect(sql: string, policy: NamePolicy = SHIPPED_ONLY): Verdict {
  const lexer = new Lexer(sql)
  const hint = hintIn(lexer)
  // The wire protocol ends a string at its first NUL: what the server would see is not what stands here.
  // Half a surrogate pair arrives as U+FFFD, which may end a literal elsewhere: $\ud800$ and $\ud801$ become the same tag.
  if (sql.includes('\0') || !sql.isWellFormed()) {
    return {
      intent: 'write',
      word: 'NUL',
      reason: CANNOT_READ,
      readable: false,
      single: false,
      undone: 'parts',
      controls: true,
      defines: false,
      hint,
    }
  }
  return new Reading(lexer, sql, policy).verdict(hint)
}

/** The hint at the beginning of a text. Nothing behind it is read. */
export function hintOf(sql: string): Verdict['hint'] {
  return hintIn(new Lexer(sql))
}

function hintIn(lexer: Lexer): Verdict['hint'] {
  return HINTS.get(lexer.leadingComment()?.trim().toLowerCase() ?? '') ?? null
}

const HINTS: ReadonlyMap<string, Hint> = new Map([
  ['pgherd:primary', 'primary'],
  ['pgherd:replica', 'replica'],
])

const CANNOT_READ = 'cannot be read as SQL'

const GRAVITY = { read: 0, write: 1, session: 2 } as const satisfies Record<Intent, number>

class Reading {
  readonly #lexer: Lexer
  readonly #sql: string
  readonly #policy: NamePolicy
  readonly #place = new Position()

  #intent: Intent = 'read'
  #word = ''
  #reason = ''
  #count = 0
  #undone: Undone = 'whole'
  #readable = true
  #defines = false

  // Of the current statement.
  #head: Head | null = null
  #reads = false // a SELECT or COPY, whatever was found in it
  #copied = false // COPY … TO STDOUT
  #defining = '' // still in CREATE [OR REPLACE] [LOCAL | GLOBAL] … or ALTER …: which of them
  #body = 0 // BEGIN ATOMIC and CASE not yet closed by END
  #first = '' // its first word
  #words = 0 // behind the first, up to the second
  #runs = true // what it calls: CREATE FUNCTION and its like run nothing yet

  #control = false // a statement of the text ends or begins a transaction

  constructor(lexer: Lexer, sql: string, policy: NamePolicy) {
    this.#lexer = lexer
    this.#sql = sql
    this.#policy = policy
  }

  verdict(hint: Verdict['hint']): Verdict {
    for (;;) {
      const kind = this.#lexer.next()
      if (this.#place.isName()) {
        if (kind === Kind.open && this.#isCall()) this.#call()
        else this.#mention(kind)
      }
      if (kind === Kind.bad) this.#unreadable()
      if (kind === Kind.bad || kind === Kind.end) break
      if (kind === Kind.word || kind === Kind.name) this.#name(kind, this.#lexer.value)
      else if (kind === Kind.semicolon) this.#separate()
      else this.#mark(kind)
    }
    this.#finish()
    if (this.#policy.operators.size > 0) this.#operators()
    if (this.#count === 0) this.#object('write', '', 'holds no statement')
    const single = this.#count === 1 && this.#readable
    return {
      intent: this.#intent,
      word: this.#word,
      reason: this.#reason,
      readable: this.#readable,
      single,
      undone: this.#undoneTogether(),
      controls: this.#control,
      defines: this.#defines,
      hint,
    }
  }

  /** Several in one text share a transaction, in which what commits by itself is refused (PreventInTransactionBlock()). */
  #undoneTogether(): Undone {
    if (!this.#readable) return 'parts'
    if (this.#count === 1) return this.#undone
    return this.#undone === 'parts' || this.#undone === 'repeatable' ? 'session' : this.#undone
  }

  /** Found in a literal or comment too, which costs a trip: such operators are rare. */
  #operators(): void {
    for (const sign of this.#policy.operators) {
      if (!this.#sql.includes(sign)) continue
      this.#object('write', sign, 'is an operator whose function is declared VOLATILE')
      this.#takesBack(this.#policy.acting?.functions.get(sign) ?? 'whole')
    }
  }

  #mark(kind: Kind): void {
    if (this.#head === null && kind !== Kind.open) this.#begin('')
    // COPY … TO 'file'
    if (kind === Kind.text && this.#first === 'copy' && this.#place.keyword() === 'to') this.#takesBack('outside')
    const wrong = this.#place.takeMark(kind)
    if (wrong === 'unbalanced') this.#unreadable()
    else if (wrong === 'ts_rewrite') this.#weigh(wrong, QUERY_TEXT)
    else if (wrong === 'operator') this.#weigh(wrong, objectionToCall(wrong, '', this.#policy))
  }

  #name(kind: Kind, value: string): void {
    const keyword = kind === Kind.word && !this.#place.atLabel()
    const roles = keyword ? (ROLES.get(value) ?? 0) : 0
    if (this.#head === null) this.#begin(kind === Kind.word ? value : '')
    else if (keyword) this.#keyword(value, roles)
    // CREATE TABLE … AS EXECUTE
    else if (value === 'execute' && this.#first === 'create') this.#takesBack('hidden')
    this.#place.takeName(kind, value, roles)
  }

  #isCall(): boolean {
    // What follows a table's name in COPY are its columns.
    if (this.#head?.kind === 'copy' && (this.#copied || !this.#place.nested)) return false
    if (this.#place.isCall()) return true
    // A word that is syntax on one server (json_query, normalize) is the name of a function on an older one.
    const { value, roles } = this.#place
    return (roles & Role.reserved) === 0 && typeof this.#policy.functions.get(value) === 'object'
  }

  #call(): void {
    const { value, qualifier } = this.#place
    if (!this.#reads) {
      this.#weigh(value, sessionCall(value))
      this.#calls(value)
      this.#touches(value)
      return
    }
    const objection = objectionToCall(value, qualifier, this.#policy)
    if (objection !== null) this.#takesBack(undoneOfCall(value, this.#policy, 'unknown-too'))
    this.#touches(value)
    const builtin = qualifier === '' || qualifier === 'pg_catalog'
    this.#place.rewrites = builtin && value === 'ts_rewrite' && objection === QUERY_TEXT
    if (!this.#place.rewrites) this.#weigh(value, objection)
  }

  /** The last token is a name that is not called. */
  #mention(next: Kind): void {
    const { value, roles, label, dotted, table } = this.#place
    // A type may stand anywhere, also behind AS.
    if (this.#policy.types.size > 0) this.#weigh(value, this.#policy.types.get(value) ?? null)
    if ((roles & Role.reserved) !== 0 || (label && !dotted)) return
    this.#touches(value)
    // Behind CREATE TABLE … AS a call is not told from a definition.
    if (!this.#reads && next === Kind.open) this.#calls(value)
    if (this.#reads) {
      const objection = objectionToMention(value, dotted, table, this.#policy)
      if (objection !== null && dotted) this.#takesBack(undoneByCall(value))
      this.#weigh(value, objection)
    } else if (value.startsWith('pg_temp')) this.#weigh(value, objectionToMention(value, false, false, SHIPPED_ONLY))
  }

  /** Of a statement that is no query; INSERT INTO t (a) names a table. */
  #calls(name: string): void {
    if (this.#runs && this.#place.before !== 'into') this.#takesBack(undoneOfCall(name, this.#policy, 'only-known'))
  }

  /** Triggers, rules and foreign tables act where rows are changed, views wherever they are named. */
  #touches(name: string): void {
    const { acting } = this.#policy
    if (!acting || acting.relations.size === 0 || !this.#runs) return
    const found = acting.relations.get(kept(name))
    if (found === undefined) return
    if (found.reading || !this.#reads || this.#intent !== 'read') this.#takesBack(found.undone)
  }

  #takesBack(undone: Undone): void {
    this.#undone = weaker(this.#undone, undone)
  }

  #begin(word: string): void {
    const head = HEADS.get(word) ?? OTHER
    this.#head = head
    this.#reads = head.kind === 'read' || head.kind === 'copy'
    this.#defining = word === 'create' || word === 'alter' ? word : ''
    if (word === 'import') this.#defines = true
    this.#first = word
    this.#words = 0
    this.#runs = word !== 'prepare'
    this.#control ||= CONTROL.has(word)
    this.#takesBack(head.undone)
    const shown = word === '' ? this.#shown() : word.toUpperCase()
    if (++this.#count > 1) this.#object('write', ';', 'more than one statement')
    if (head.kind === 'write' || head.kind === 'session') this.#object(head.kind, shown, head.reason)
    else if (this.#word === '') {
      this.#word = shown
      this.#reason = 'only reads'
    }
  }

  #keyword(word: string, roles: number): void {
    const previous = this.#place.keyword()
    if (!this.#reads || this.#first === 'copy') {
      const undone =
        this.#place.nested && word !== 'concurrently'
          ? null
          : undoneByWord(word, this.#first, previous, ++this.#words === 1)
      if (undone !== null) this.#takesBack(undone)
    }
    if (this.#reads) this.#keywordOfRead(word, roles, previous)
    else if (this.#defining !== '') this.#define(word, roles)
    if ((roles & Role.body) !== 0 && this.#creates()) this.#inBody(word, previous)
  }

  #keywordOfRead(word: string, roles: number, previous: string): void {
    const lock = previous === 'for' ? LOCKS.get(word) : undefined
    if (lock !== undefined) this.#object('write', lock, 'takes row locks, which a standby refuses (25006)')
    if (this.#place.atStatement()) this.#nest(word)
    if (roles === 0) return
    if ((roles & Role.change) !== 0 && !this.#place.atColumn()) {
      this.#object('write', word.toUpperCase(), 'changes rows')
    } else if ((roles & Role.into) !== 0) {
      this.#object('write', 'INTO', 'SELECT INTO makes a table')
    } else if ((roles & Role.temporary) !== 0 && previous === 'into') {
      this.#object('session', word.toUpperCase(), 'makes a temporary table')
    } else if ((roles & Role.copyTarget) !== 0 && previous === 'to' && !this.#place.nested) {
      this.#copied = true
    }
  }

  /** In WITH and COPY a statement begins: the server refuses what is neither a query nor a change, but it is no read. */
  #nest(word: string): void {
    const head = HEADS.get(word) ?? OTHER
    if (head.kind === 'read' || (this.#place.kind === Kind.close && WITH_GOES_ON.has(word))) return
    this.#object('write', word.toUpperCase(), head.reason)
  }

  #define(word: string, roles: number): void {
    if ((roles & Role.temporary) !== 0) {
      if (word.startsWith('temp')) this.#object('session', word.toUpperCase(), 'makes a temporary object')
    } else if (word !== 'or' && word !== 'replace') {
      const plain = PLAIN_OBJECTS.has(word) || (word === 'table' && this.#defining === 'create')
      if (!plain) this.#defines = true
      if (this.#defining === 'create' && DEFINED_ONLY.has(word)) this.#runs = false
      this.#defining = ''
    }
  }

  /** The semicolons within BEGIN ATOMIC … END belong to the CREATE FUNCTION around them. */
  #inBody(word: string, previous: string): void {
    if (word === 'atomic') {
      if (previous === 'begin') this.#body = 1
    } else if (this.#body > 0) this.#body += word === 'case' ? 1 : -1
  }

  #creates(): boolean {
    return this.#head === HEADS.get('create')
  }

  #separate(): void {
    // Only CREATE RULE and SQL-standard function bodies hold semicolons.
    const inside = (this.#place.nested || this.#body > 0) && this.#creates()
    if (!inside) this.#finish()
    this.#place.separate(inside)
  }

  #finish(): void {
    if (this.#head?.kind === 'copy' && !this.#copied) this.#object('write', 'COPY', this.#head.reason)
    if (this.#place.nested) this.#unreadable()
    this.#head = null
    this.#copied = false
    this.#body = 0
  }

  #unreadable(): void {
    this.#object('write', this.#shown(), CANNOT_READ)
    this.#readable = false
  }

  /** For what has no name: how the text goes on from here. */
  #shown(): string {
    return this.#sql.slice(this.#lexer.start, this.#lexer.start + 16)
  }

  #weigh(word: string, objection: Objection | null): void {
    if (objection !== null) this.#object(objection.intent, word, objection.reason)
  }

  /** The first objection of the graver kind decides. */
  #object(intent: 'write' | 'session', word: string, reason: string): void {
    if (intent === 'session') this.#takesBack('session')
    if (GRAVITY[intent] <= GRAVITY[this.#intent]) return
    this.#intent = intent
    this.#word = word
    this.#reason = reason
  }
}
