// Cuts SQL text into tokens the way PostgreSQL's own scanner does, as far as routing needs it: where a literal, a
// quoted name or a comment ends, and what the words between them are. It takes one token per call, never looks back,
// never recurses and never throws: what it cannot read is a `bad` token, and nothing follows a bad token.
// It knows no keyword and judges nothing: that is classify.ts. It assumes standard_conforming_strings = on, the
// server's default since 9.1; with it off a backslash may hide a quote, so a server that reports `off` is not routed.
// https://www.postgresql.org/docs/current/sql-syntax-lexical.html

/** What a token is. `word` is an unquoted name or keyword, `name` a quoted one. */
export const Kind = {
  end: 0,
  bad: 1,
  word: 2,
  name: 3,
  text: 4, // a string or bit literal of any spelling
  number: 5, // a numeric literal or a $1 parameter
  open: 6,
  close: 7,
  subscript: 8, // [
  bracket: 9, // ]
  comma: 10,
  dot: 11,
  semicolon: 12,
  cast: 13, // ::
  operator: 14, // one character of any operator, and : =
} as const
export type Kind = (typeof Kind)[keyof typeof Kind]

// Classes of the ASCII characters; a table, because this is looked up for every character of every statement.
const SPACE = 1
const LETTER = 2 // may start an identifier
const UPPER = 3 // the same, and must be folded
const DIGIT = 4
const PUNCTUATION = 5
const CLASS = new Uint8Array(128)
const TOKEN = new Uint8Array(128)
for (const c of ' \t\n\r\f\v') CLASS[c.charCodeAt(0)] = SPACE
for (const c of 'abcdefghijklmnopqrstuvwxyz_') CLASS[c.charCodeAt(0)] = LETTER
for (const c of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') CLASS[c.charCodeAt(0)] = UPPER
for (const c of '0123456789') CLASS[c.charCodeAt(0)] = DIGIT
for (const [characters, kind] of [
  ['(', Kind.open],
  [')', Kind.close],
  ['[', Kind.subscript],
  [']', Kind.bracket],
  [',', Kind.comma],
  ['.', Kind.dot],
  [';', Kind.semicolon],
  ['+-*/<>=~!@#%^&|`?:', Kind.operator],
] as const) {
  for (const c of characters) {
    CLASS[c.charCodeAt(0)] = PUNCTUATION
    TOKEN[c.charCodeAt(0)] = kind
  }
}

const QUOTE = 39
const DOUBLE_QUOTE = 34
const DOLLAR = 36
const BACKSLASH = 92
const SMALL_E = 101
const SLASH = 47
const STAR = 42
const MINUS = 45
const COLON = 58
const AMPERSAND = 38
const NEWLINE = 10
const RETURN = 13

/** Everything from U+0080 up is a letter to PostgreSQL, the no-break space and the byte order mark included. */
function classOf(code: number): number {
  return code < 128 ? (CLASS[code] ?? 0) : LETTER
}

// Only A to Z fold: JavaScript's toLowerCase would turn U+212A (KELVIN SIGN) into a `k` that the server does not see.
const foldAscii = (text: string): string => text.replace(/[A-Z]+/g, (capitals) => capitals.toLowerCase())

export class Lexer {
  readonly #sql: string
  #at = 0
  /** Where the current token begins. */
  start = 0
  /** Of a word or name: as the server knows it, folded or unquoted. Else empty. */
  value = ''

  constructor(sql: string) {
    this.#sql = sql
  }

  next(): Kind {
    this.value = ''
    if (!this.#skipBlank()) return Kind.bad
    const sql = this.#sql
    const at = this.#at
    this.start = at
    if (at >= sql.length) return Kind.end
    const code = sql.charCodeAt(at)
    switch (classOf(code)) {
      case LETTER:
      case UPPER:
        return this.#word(at)
      case DIGIT:
        return this.#number(at)
      case PUNCTUATION:
        if (code === COLON && sql.charCodeAt(at + 1) === COLON) {
          this.#at = at + 2
          return Kind.cast
        }
        this.#at = at + 1
        return (TOKEN[code] ?? Kind.bad) as Kind
    }
    if (code === QUOTE) return this.#string(at + 1)
    if (code === DOUBLE_QUOTE) return this.#name(at + 1)
    return code === DOLLAR ? this.#dollar(at) : Kind.bad
  }

  /**
   * The literal at hand closes behind a backslash. Where standard_conforming_strings is off it goes on there: what follows may
   * be a part of it.
   */
  get doubtful(): boolean {
    const sql = this.#sql
    return sql.charCodeAt(this.#at - 2) === BACKSLASH && (sql.charCodeAt(this.start) | 32) !== SMALL_E
  }

  /** The first thing after any blanks, if that is a block comment: its inside. Where hints are looked for. */
  leadingComment(): string | null {
    const found = /^[ \t\n\r\f\v]*\/\*([^*]*)\*\//.exec(this.#sql)
    return found?.[1] ?? null
  }

  /** Whitespace and comments; a comment also begins within a run of operator characters. False: one never ends. */
  #skipBlank(): boolean {
    const sql = this.#sql
    let at = this.#at
    // The bound is for speed, here and below: once asked for a character behind the end, charCodeAt is no longer compiled
    // to a load but called each time, and classify() takes a quarter longer.
    while (at < sql.length) {
      const code = sql.charCodeAt(at)
      if (CLASS[code] === SPACE) at++
      else if (code === MINUS && sql.charCodeAt(at + 1) === MINUS) at = this.#endOfLine(at + 2)
      else if (code === SLASH && sql.charCodeAt(at + 1) === STAR) {
        at = this.#endOfComment(at + 2)
        if (at < 0) return false
      } else break
    }
    this.#at = at
    return true
  }

  #endOfDigits(from: number): number {
    const sql = this.#sql
    let at = from
    while (at < sql.length && CLASS[sql.charCodeAt(at)] === DIGIT) at++
    return at
  }

  /** A line comment ends at LF or CR, unlike in the SQL standard. */
  #endOfLine(from: number): number {
    const sql = this.#sql
    let at = from
    while (at < sql.length) {
      const code = sql.charCodeAt(at)
      if (code === NEWLINE || code === RETURN) break
      at++
    }
    return at
  }

  /** Block comments nest. Counted, not recursed: the text may hold a million of them. -1: the text ends first. */
  #endOfComment(from: number): number {
    const sql = this.#sql
    let depth = 1
    let at = from
    while (at < sql.length) {
      const code = sql.charCodeAt(at++)
      if (code === STAR && sql.charCodeAt(at) === SLASH) {
        at++
        if (--depth === 0) return at
      } else if (code === SLASH && sql.charCodeAt(at) === STAR) {
        at++
        depth++
      }
    }
    return -1
  }

  #word(from: number): Kind {
    const sql = this.#sql
    let at = from
    let capitals = false
    let plain = true
    for (; at < sql.length; at++) {
      const code = sql.charCodeAt(at)
      const kind = classOf(code)
      if (kind === UPPER) capitals = true
      else if (kind !== LETTER && kind !== DIGIT && code !== DOLLAR) break
      if (code > 127) plain = false
    }
    const prefixed = this.#prefixed(from, at)
    if (prefixed !== Kind.end) return prefixed
    const text = sql.slice(from, at)
    this.value = !capitals ? text : plain ? text.toLowerCase() : foldAscii(text)
    this.#at = at
    return Kind.word
  }

  /** Literals that begin with a letter: E'' B'' X'' N'' U&''. U&"" is a name in escapes, which are not read here. */
  #prefixed(from: number, at: number): Kind {
    if (at - from !== 1) return Kind.end
    const sql = this.#sql
    const letter = sql[from]?.toLowerCase()
    const code = sql.charCodeAt(at)
    if (code === QUOTE) {
      if (letter === 'e') return this.#escapeString(at + 1)
      if (letter === 'b' || letter === 'x' || letter === 'n') return this.#string(at + 1)
    }
    if (letter !== 'u' || code !== AMPERSAND) return Kind.end
    const quote = sql.charCodeAt(at + 1)
    if (quote === QUOTE) return this.#string(at + 2)
    return quote === DOUBLE_QUOTE ? Kind.bad : Kind.end
  }

  // Digits and at most one dot; what follows (e5, x1F) is left to be read as a word, as servers before 15 do with
  // `1into`. The dot belongs to the number, or `1. into t` would look like a field named "into"; so do the underscores
  // of PostgreSQL 16 (1_000.), or the dot would not.
  #number(from: number): Kind {
    const sql = this.#sql
    let at = this.#endOfGroups(from)
    if (sql[at] === '.' && sql[at + 1] !== '.') at = this.#endOfGroups(at + 1)
    this.#at = at
    return Kind.number
  }

  #endOfGroups(from: number): number {
    const sql = this.#sql
    let at = this.#endOfDigits(from)
    while (sql[at] === '_' && at + 1 < sql.length && CLASS[sql.charCodeAt(at + 1)] === DIGIT)
      at = this.#endOfDigits(at + 1)
    return at
  }

  /** A doubled quote reads as two literals side by side, which ends in the same place. */
  #string(from: number): Kind {
    const end = this.#sql.indexOf("'", from)
    this.#at = end + 1
    return end < 0 ? Kind.bad : Kind.text
  }

  /** E'': a backslash takes the next character with it, and after a line break the next literal is still an E''. */
  #escapeString(from: number): Kind {
    const sql = this.#sql
    let at = from
    while (at < sql.length) {
      const code = sql.charCodeAt(at++)
      if (code === BACKSLASH) at++
      else if (code === QUOTE) {
        if (sql.charCodeAt(at) === QUOTE) at++
        else {
          const again = this.#continuation(at)
          if (again < 0) {
            this.#at = at
            return Kind.text
          }
          at = again
        }
      }
    }
    return Kind.bad
  }

  /** Where a literal goes on that was closed before `from`: blanks with a line break in them, then a quote. Or -1. */
  #continuation(from: number): number {
    const sql = this.#sql
    let at = from
    let broken = false
    for (;;) {
      const code = sql.charCodeAt(at)
      if (code === NEWLINE || code === RETURN) broken = true
      if (CLASS[code] === SPACE) at++
      else if (code === MINUS && sql.charCodeAt(at + 1) === MINUS) at = this.#endOfLine(at + 2)
      else return broken && code === QUOTE ? at + 1 : -1
    }
  }

  #name(from: number): Kind {
    const sql = this.#sql
    let end = sql.indexOf('"', from)
    let doubled = false
    while (end >= 0 && sql.charCodeAt(end + 1) === DOUBLE_QUOTE) {
      doubled = true
      end = sql.indexOf('"', end + 2)
    }
    if (end < 0) return Kind.bad
    const text = sql.slice(from, end)
    this.value = doubled ? text.replaceAll('""', '"') : text
    this.#at = end + 1
    return Kind.name
  }

  /** $1, or $tag$ … $tag$. Within an identifier the dollar sign is a letter, so this is never reached there. */
  #dollar(from: number): Kind {
    const sql = this.#sql
    let at = from + 1
    const digits = this.#endOfDigits(at)
    if (digits > at) {
      this.#at = digits
      return Kind.number
    }
    while (at < sql.length && sql.charCodeAt(at) !== DOLLAR) {
      const kind = classOf(sql.charCodeAt(at))
      if (kind !== LETTER && kind !== UPPER && kind !== DIGIT) return Kind.bad
      at++
    }
    const tag = sql.slice(from, at + 1)
    const end = at < sql.length ? sql.indexOf(tag, at + 1) : -1
    this.#at = end + tag.length
    return end < 0 ? Kind.bad : Kind.text
  }
}
