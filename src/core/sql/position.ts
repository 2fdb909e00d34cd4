// Where in a statement the reader stands: what was just read, and what the parentheses around it are. From that it
// decides whether a name before a parenthesis is called, or is an alias with its columns, a type, a query of WITH or
// syntax. When it is not sure the name is called: that can cost a trip to the primary, never a write on a replica.
// It judges no name, and holds for valid SQL only: what the server would refuse does no harm anywhere.

import { Kind } from './lexer.js'
import { BEFORE_EXPRESSION, NAMING, NO_CALL_AFTER, ROLES, Role } from './statements.js'

// What is remembered of a level of parentheses or brackets.
const WITH_LIST = 1 // between WITH and the statement it belongs to: `, name (` begins a query, not a call
const GROUPING = 2 // in GROUP BY, where ROLLUP and CUBE are syntax
const FROM_LIST = 4 // between FROM and WHERE: behind a comma stands a table, which may have an alias with columns
const NO_OPERAND = 8 // DISTINCT ON (…) and OPERATOR(…): an expression begins behind it, and so perhaps a call
const OPERATOR = 16 // in OPERATOR(…)
const QUERY = 32 // in WITH x AS (…) and COPY (…), where a statement begins
const REWRITE = 64 // in ts_rewrite(…): with two arguments the second is SQL, with three it is not
const TABLES = 2048 // behind any FROM and before WHERE: behind a comma a table may stand
const FROM_PAREN = 1024 // in FROM (…) or JOIN (…), where a table may stand
const ARGUMENT = 128 // one for each comma in it, two at most
const REWRITE_OF_THREE = REWRITE + 2 * ARGUMENT

export class Position {
  kind: Kind = Kind.semicolon
  /** Of a name or word. */
  value = ''
  /** Of an unquoted word that means what it says; 0 for a label. */
  roles = 0
  /** Behind a dot or AS any word only names something, whatever keyword it looks like. */
  label = false
  dotted = false
  /** The name before the last dot, '' without one, '.' if it was no name. */
  qualifier = ''
  /** The name, with what is before its dots, stands where a table does. Also where it may be an expression behind FROM. */
  table = false
  /** The parenthesis that follows belongs to ts_rewrite. */
  rewrites = false

  #before = '' // the keyword before the last token, or ''
  #operand = false // an operand ended with the last token: no call can begin behind it
  #callable = true // a call may begin where the last (qualified) name began
  #item = false // the last name is the first word of an item in a list
  #level = 0
  readonly #levels: number[] = []

  get nested(): boolean {
    return this.#levels.length > 0
  }

  isName(): boolean {
    return this.kind === Kind.word || this.kind === Kind.name
  }

  /** The last token if it is an unquoted word that is no label, else ''. */
  keyword(): string {
    return this.kind === Kind.word && !this.label ? this.value : ''
  }

  /** The keyword before the last token, or ''. */
  get before(): string {
    return this.#before
  }

  /** A new statement; `inside`: of a body that holds several, so the parentheses stay as they are. */
  separate(inside: boolean): void {
    this.#step(Kind.semicolon)
    if (inside) return
    this.#level = 0
    this.#levels.length = 0
  }

  /** Whether the next word would be a label. */
  atLabel(): boolean {
    return this.kind === Kind.dot || this.keyword() === 'as'
  }

  takeName(kind: Kind, value: string, roles: number): void {
    const dotted = this.kind === Kind.dot
    const label = this.atLabel()
    const operand = label || kind === Kind.name || ((roles & Role.reserved) === 0 && this.#atTable())
    if (!dotted) {
      this.#callable = this.#callBegins()
      this.#item = this.#itemBegins()
      this.table = this.#tableBegins()
      this.qualifier = ''
    }
    const previous = this.keyword()
    if (roles !== 0) this.#turn(value, roles, previous)
    this.#before = previous
    this.kind = kind
    this.value = value
    this.roles = roles
    this.label = label
    this.dotted = dotted
    this.#operand = operand
  }

  /** Any other token. What is wrong with the parentheses that it closes, if something is. */
  takeMark(kind: Kind): 'unbalanced' | 'ts_rewrite' | 'operator' | null {
    const closed = this.#level
    const operator = this.kind === Kind.operator
    let operand = kind === Kind.text || kind === Kind.number
    let unbalanced = false
    if (kind === Kind.open || kind === Kind.subscript) this.#open(kind)
    else if (kind === Kind.close || kind === Kind.bracket) {
      unbalanced = !this.nested
      this.#level = this.#levels.pop() ?? 0
      operand = (closed & NO_OPERAND) === 0
    } else if (kind === Kind.comma && closed >= REWRITE && closed < REWRITE_OF_THREE) this.#level += ARGUMENT
    this.#step(kind)
    this.#operand = operand
    if (kind !== Kind.close) return unbalanced ? 'unbalanced' : null
    if ((closed & OPERATOR) !== 0 && !operator) return 'operator'
    if ((closed & REWRITE) !== 0 && closed < REWRITE_OF_THREE) return 'ts_rewrite'
    return unbalanced ? 'unbalanced' : null
  }

  /** The last token is a name, and a parenthesis follows. */
  isCall(): boolean {
    if (!this.#callable) return false
    const word = this.keyword()
    if (word === '') return true
    if ((this.roles & Role.syntax) !== 0 || word === 'operator') return false
    if (NO_CALL_AFTER.get(word)?.has(this.#before) === true) return false
    switch (word) {
      case 'rollup':
      case 'cube':
        return (this.#level & GROUPING) === 0 || !this.#item
      case 'materialized':
        return (this.#level & WITH_LIST) === 0
      case 'join': // behind the name of a table; what else can be before it is in the table above
        if ((this.#level & (FROM_LIST | FROM_PAREN)) === 0 || this.#before === '') return true
        return ROLES.has(this.#before) || BEFORE_EXPRESSION.has(this.#before)
    }
    return true
  }

  // UPDATE, DELETE … may name a column or table. A statement never begins behind a comma, an operator or a reserved
  // word; behind anything else the word is taken for one.
  atColumn(): boolean {
    if (this.kind === Kind.comma || this.kind === Kind.operator || this.kind === Kind.cast) return true
    return (this.roles & Role.reserved) !== 0
  }

  /** Where only a query or a change of rows may stand. */
  atStatement(): boolean {
    if (this.kind === Kind.open) return (this.#level & QUERY) !== 0
    return this.kind === Kind.close && (this.#level & WITH_LIST) !== 0
  }

  #step(kind: Kind): void {
    // A dot keeps the name before it, for the part behind it.
    const dot = kind === Kind.dot && this.isName()
    this.qualifier = dot ? this.value : '.'
    if (!dot) this.#callable = true
    this.#before = ''
    this.kind = kind
    this.value = ''
    this.roles = 0
    this.label = false
    this.#operand = false
  }

  /** What a keyword changes about the level it is on. */
  #turn(word: string, roles: number, previous: string): void {
    if ((roles & Role.clause) !== 0) this.#level &= ~(WITH_LIST | FROM_LIST | TABLES | GROUPING)
    // Unlike the words of clauses it may name a column; behind a query of WITH it begins the statement.
    if (word === 'values' && this.kind === Kind.close) this.#level &= ~WITH_LIST
    if ((roles & Role.from) !== 0) {
      // A tested value follows IS DISTINCT FROM, but `select a distinct from t, u` calls a column "distinct".
      this.#level |= TABLES
      if (previous !== 'distinct') this.#level |= FROM_LIST
    }
    if ((roles & Role.by) !== 0 && previous === 'group') this.#level |= GROUPING
    // Not WITH ORDINALITY, TIES or TIME ZONE.
    if (word === 'with' && (this.kind === Kind.semicolon || this.kind === Kind.open)) this.#level |= WITH_LIST
  }

  #open(kind: Kind): void {
    let opened = this.rewrites ? REWRITE : 0
    this.rewrites = false
    const list = (this.#level & WITH_LIST) !== 0
    if (kind === Kind.open && this.isName()) {
      if (list && (this.value === 'materialized' || this.value === 'as')) opened = QUERY
      else if (this.keyword() !== '') opened |= this.#opens(this.value)
    }
    if (kind === Kind.open && this.#tableBegins()) opened |= FROM_PAREN
    // Behind a WITH query comes the statement itself, which may begin with a parenthesis.
    if (this.kind === Kind.close) this.#level &= ~WITH_LIST
    this.#levels.push(this.#level)
    this.#level = opened
  }

  #opens(keyword: string): number {
    if (keyword === 'on' && this.#before === 'distinct') return NO_OPERAND
    if (keyword === 'operator') return NO_OPERAND | OPERATOR
    if (keyword === 'sets') return GROUPING
    return keyword === 'copy' && !this.nested ? QUERY : 0
  }

  /** Whether a call may begin behind the last token; behind an operand, a type cast or AS it cannot. */
  #callBegins(): boolean {
    if (this.#operand || this.kind === Kind.cast) return false
    if (this.kind === Kind.comma) return (this.#level & WITH_LIST) === 0
    return !NAMING.has(this.keyword())
  }

  #itemBegins(): boolean {
    if (this.kind === Kind.comma || this.kind === Kind.open) return true
    const previous = this.keyword()
    return previous === 'by' || previous === 'distinct' || previous === 'all'
  }

  /** Whether a table may begin behind the last token. */
  #tableBegins(): boolean {
    if (this.kind === Kind.comma) return (this.#level & TABLES) !== 0
    if (this.kind === Kind.open) return (this.#level & FROM_PAREN) !== 0
    return (this.roles & Role.beforeTable) !== 0
  }

  /** In FROM, where a table stands and never a keyword that an expression could follow. */
  #atTable(): boolean {
    if (this.kind === Kind.comma) return (this.#level & FROM_LIST) !== 0
    const previous = this.keyword()
    return previous === 'join' || previous === 'from'
  }
}
