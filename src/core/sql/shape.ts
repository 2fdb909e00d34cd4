// SQL text -> its shape: what stays the same when only the values in it change. Literals become `?`, lists of them one `?`,
// comments and layout disappear. For people and for counting; decides nothing, and never shows a value.

import { Kind, Lexer } from './lexer.js'
import { ROLES, Role } from './statements.js'

const MOST_PARTS = 150
const LONGEST = 500

const OPENING: ReadonlySet<string> = new Set(['(', '[', '.', '::'])
const CLOSING: ReadonlySet<string> = new Set([')', ']', ',', '.', ';', '::', '['])

/** Never throws; a text that cannot be read, or may be read in two ways, ends in an ellipsis where that begins. */
export function shapeOf(sql: string): string {
  const lexer = new Lexer(sql)
  const parts: string[] = []
  let setting: Setting = 'statement'
  for (let kind = lexer.next(); kind !== Kind.end; kind = lexer.next()) {
    const isName = kind === Kind.word || kind === Kind.name
    const told = setting === 'value' && isName ? '?' : partOf(kind, lexer, sql)
    const part = kind === Kind.bad || parts.length > MOST_PARTS ? '…' : told
    setting = settingAfter(setting, kind, kind === Kind.word ? lexer.value : part)
    if (part === '…') return spelled([...parts, part])
    push(parts, part, kind, sql[lexer.start - 1])
    if (kind === Kind.text && lexer.doubtful) return spelled([...parts, '…'])
  }
  return spelled(parts)
}

/** Where in SET name TO value the reader is: the value may stand there like a name. */
type Setting = 'statement' | 'alter' | 'set' | 'value' | 'other'

function settingAfter(setting: Setting, kind: Kind, word: string): Setting {
  if (kind === Kind.semicolon) return 'statement'
  if (setting === 'statement') return word === 'set' || word === 'alter' ? word : 'other'
  if (setting === 'alter') return word === 'set' ? 'set' : 'alter'
  return setting === 'set' && (word === 'to' || word === '=') ? 'value' : setting
}

function partOf(kind: Kind, lexer: Lexer, sql: string): string {
  if (kind === Kind.text || kind === Kind.number) return '?'
  if (kind === Kind.word) return lexer.value
  if (kind === Kind.name) return `"${lexer.value.replaceAll('"', '""')}"`
  return kind === Kind.cast ? '::' : (sql[lexer.start] ?? '')
}

/** `1, 2, 3` and `(1, 2), (3, 4)` become the first of their like; so does `1e5` or `0x1F`, which the lexer reads as two. */
function push(parts: string[], part: string, kind: Kind, before: string | undefined): void {
  const last = parts.at(-1)
  if (kind === Kind.word && last === '?' && /[\w.]/.test(before ?? '')) return
  if (kind === Kind.text && last === '?') return
  parts.push(part)
  fold(parts, 1)
  if (part === ')') fold(parts, 3)
}

/** `size` parts, a comma, and the same again: only the first stays. */
function fold(parts: string[], size: number): void {
  const from = parts.length - 2 * size - 1
  if (from < 0 || parts[from + size] !== ',') return
  for (let i = 0; i < size; i++) {
    const part = parts[from + i]
    if (part !== parts[from + size + 1 + i]) return
    if (part !== '?' && !(size === 3 && (part === '(' || part === ')'))) return
  }
  parts.length = from + size
}

function spelled(parts: readonly string[]): string {
  let text = ''
  let previous = '('
  for (const part of parts) {
    const tight =
      OPENING.has(previous) || CLOSING.has(part) || (part === '(' && isCallable(previous)) || isOperator(previous, part)
    text += tight ? part : ` ${part}`
    previous = part
  }
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text
}

function isCallable(previous: string): boolean {
  return /^[\w"]/.test(previous) && ((ROLES.get(previous) ?? 0) & Role.reserved) === 0 && previous !== 'values'
}

/** The lexer gives operators one character at a time. */
function isOperator(previous: string, part: string): boolean {
  const sign = /^[-+*/<>=~!@#%^&|`:]$/
  return sign.test(previous) && sign.test(part)
}
