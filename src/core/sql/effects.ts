// What a statement does to the session it runs in, and what the session then may do: a client whose session has state of its
// own must not have its reads answered by another session. Reads texts with the lexer; knows no client.
// It errs to one side: what it does not know leaves state behind.

import type { Verdict } from './classify.js'
import { Kind, Lexer } from './lexer.js'
import { Memo } from './memo.js'
import { isOpaqueCall, type NamePolicy, sessionCall } from './names.js'
import { ROLES } from './statements.js'

/**
 * transaction: begins, ends or shapes a transaction, or does nothing that outlives one. taints: leaves state behind, or may do
 * so unseen. discards: gives all such state up.
 */
export type Effect = 'none' | 'transaction' | 'taints' | 'discards'

const GRAVITY = { none: 0, transaction: 1, discards: 2, taints: 3 } as const satisfies Record<Effect, number>

/** The first word of a statement -> its effect, where the word alone decides. Every other word: none. */
const HEADS: ReadonlyMap<string, Effect> = new Map([
  ['begin', 'transaction'],
  ['start', 'transaction'],
  ['commit', 'transaction'],
  ['end', 'transaction'],
  ['rollback', 'transaction'],
  ['abort', 'transaction'],
  ['savepoint', 'transaction'],
  ['release', 'transaction'],
  ['lock', 'transaction'],
  ['declare', 'transaction'], // WITH HOLD: below
  ['fetch', 'transaction'],
  ['move', 'transaction'],
  ['close', 'transaction'],
  ['reset', 'taints'], // not what a connection hook has set
  ['listen', 'taints'],
  ['load', 'taints'],
  ['call', 'taints'], // a body that is not read here
  ['do', 'taints'],
])

/** Where the second word decides: those listed, and what any other word means. */
const SECOND_WORDS: ReadonlyMap<string, { readonly words: ReadonlyMap<string, Effect>; readonly otherwise: Effect }> =
  new Map([
    [
      'set',
      {
        words: new Map<string, Effect>([
          ['local', 'transaction'],
          ['transaction', 'transaction'],
          ['constraints', 'transaction'],
        ]),
        otherwise: 'taints',
      },
    ],
    ['discard', { words: new Map<string, Effect>([['all', 'discards']]), otherwise: 'none' }],
    ['prepare', { words: new Map<string, Effect>([['transaction', 'transaction']]), otherwise: 'taints' }],
  ])

/** The effect of a text that was read as `verdict`. */
export function effectOf(sql: string, verdict: Verdict, policy: NamePolicy): Effect {
  return verdict.intent === 'read' ? 'none' : scan(sql, policy).effect
}

/** What of a text leaves state in its session for sure: a word for it. Null: nothing, or it is not known. */
export function stateLeftBy(sql: string, verdict: Verdict, policy: NamePolicy): string | null {
  return verdict.intent === 'read' ? null : scan(sql, policy).state
}

/** First words that leave state for sure, as far as their second word does. */
const STATEFUL: ReadonlySet<string> = new Set(['set', 'listen', 'load', 'prepare'])

function scan(sql: string, policy: NamePolicy): { readonly effect: Effect; readonly state: string | null } {
  const lexer = new Lexer(sql)
  let effect: Effect = 'none'
  let state: string | null = null
  /** `sure`: what leaves state, where it is sure that it does. */
  const add = (found: Effect | undefined, sure: string | null = null) => {
    if (found !== undefined && GRAVITY[found] > GRAVITY[effect]) effect = found
    if (found === 'taints') state ??= sure
  }
  let head = '' // the first word of the statement; empty before it
  let position = 0 // of the token within its statement
  const calls: string[] = [] // what stands before the parentheses that are open
  let argument = 0 // tokens since the last comma or parenthesis
  let previous = '' // the word or name before this token, else empty
  let anchor = '' // the keyword before that word or name; of a qualified name, before the whole of it
  let dotted = false
  let keyword = '' // the token before this one, if it is a word
  for (let kind = lexer.next(); kind !== Kind.end; kind = lexer.next()) {
    if (kind === Kind.bad) return { effect: 'taints', state }
    if (kind === Kind.semicolon) {
      position = 0
      continue
    }
    const word = kind === Kind.word ? lexer.value : ''
    if (position === 0) {
      head = word
      add(HEADS.get(word), STATEFUL.has(word) ? word.toUpperCase() : null)
    } else if (position === 1) add(secondWord(head, word), STATEFUL.has(head) ? head.toUpperCase() : null)
    if (kind === Kind.open) {
      calls.push(previous)
      if (previous !== '' && previous !== 'set_config' && !NAMING.has(anchor)) {
        add(callEffect(previous, head, policy), sessionCall(previous) === null ? null : `${previous}()`)
      }
    } else if (kind === Kind.close && calls.pop() === 'set_config') {
      // set_config('a', 'b', true) is a SET LOCAL: the last argument is this word, and nothing else.
      add(previous === 'true' && keyword === 'true' && argument === 1 ? 'transaction' : 'taints', 'set_config()')
    }
    argument = kind === Kind.comma || kind === Kind.open || kind === Kind.close ? 0 : argument + 1
    if (word !== '') add(keywordEffect(word, previous, head), head === 'explain' ? null : (KEPT.get(word) ?? null))
    if (lexer.value.startsWith('pg_temp')) add('taints', 'a temporary object')
    previous = kind === Kind.word || kind === Kind.name ? lexer.value : ''
    if (previous === '') {
      if (kind !== Kind.dot) anchor = ''
    } else if (!dotted) anchor = keyword
    dotted = kind === Kind.dot
    keyword = word
    position++
  }
  // The last word had no other behind it: SET and the like need one, so this is no valid statement.
  return { effect, state }
}

const KEPT: ReadonlyMap<string, string> = new Map([
  ['temp', 'a temporary object'],
  ['temporary', 'a temporary object'],
  ['hold', 'a cursor WITH HOLD'],
])

function secondWord(head: string, word: string): Effect | undefined {
  const rule = SECOND_WORDS.get(head)
  return rule === undefined ? undefined : (rule.words.get(word) ?? rule.otherwise)
}

function keywordEffect(word: string, previous: string, head: string): Effect | undefined {
  if (word === 'temp' || word === 'temporary') return 'taints'
  if (word === 'hold' && previous === 'with') return 'taints'
  return head === 'explain' && (word === 'analyze' || word === 'analyse') ? 'taints' : undefined
}

/** Behind them stands the name of a table, or an alias, perhaps with a list of columns: INTO t (a), AS v (a), WITH x (a). */
const NAMING: ReadonlySet<string> = new Set(['into', 'as', 'with', 'recursive'])
/** ON CONFLICT (a), SET (a, b) = (1, 2), AS NOT MATERIALIZED (...): a function of that name counts only where it is known. */
const LISTS: ReadonlySet<string> = new Set(['conflict', 'set', 'materialized'])

/** In an INSERT a name before a parenthesis is a table's as often as a function's: there only known writers count. */
function callEffect(name: string, head: string, policy: NamePolicy): Effect | undefined {
  if (sessionCall(name) !== null) return 'taints'
  const standing = policy.functions.get(name)
  if (standing === 'vouched' || standing === 'harmless') return undefined
  if (standing !== undefined) return 'taints'
  const queries = head === 'select' || head === 'with' || head === 'values' || head === 'copy'
  return queries && !ROLES.has(name) && !LISTS.has(name) && isOpaqueCall(name) ? 'taints' : undefined
}

/** PostgreSQL takes READ UNCOMMITTED for READ COMMITTED. */
export type Isolation = 'read committed' | 'repeatable read' | 'serializable'

/** How a transaction begins, as far as it matters where it may run. */
export interface Opening {
  readonly readOnly: boolean
  /** Null: the session's default. */
  readonly isolation: Isolation | null
}

/** BEGIN or START TRANSACTION in any spelling -> how it begins; null: it is neither, or more than that. */
export function openingOf(sql: string): Opening | null {
  const words = wordsOf(sql)
  if (words === null) return null
  const [first, second] = words
  if (first === 'start' ? second !== 'transaction' : first !== 'begin') return null
  const modes = words.slice(first === 'start' || second === 'work' || second === 'transaction' ? 2 : 1)
  let readOnly = false
  let isolation: Opening['isolation'] = null
  for (let i = 0; i < modes.length; ) {
    const pair = `${modes[i]} ${modes[i + 1]}`
    const level = pair === 'isolation level' ? levelOf(modes.slice(i + 2, i + 4)) : null
    if (pair === 'read only' || pair === 'read write') {
      readOnly = pair === 'read only'
      i += 2
    } else if (level !== null) {
      isolation = level === 'read uncommitted' ? 'read committed' : level
      i += level === 'serializable' ? 3 : 4
    } else if (modes[i] === 'deferrable') i += 1
    else if (pair === 'not deferrable') i += 2
    else return null
  }
  return { readOnly, isolation }
}

/** First words of single statements that cannot write, though they are no reads either. */
const SHAPES: ReadonlySet<string> = new Set([
  ...['begin', 'start', 'commit', 'end', 'rollback', 'abort', 'savepoint', 'release'],
  ...['set', 'reset', 'show', 'listen', 'unlisten', 'discard', 'deallocate', 'close'],
])

/** It only begins, ends or shapes a transaction or the session. COMMIT PREPARED is more than that. */
export function onlyShapes(sql: string): boolean {
  const [, word = ''] = /^[\s;]*([a-z]+)/i.exec(sql) ?? []
  if (!SHAPES.has(word.toLowerCase()) || /\bprepared\b/i.test(sql)) return false
  const end = sql.indexOf(';')
  return end < 0 || /^[\s;]*$/.test(sql.slice(end))
}

/** COMMIT, ROLLBACK and their like -> how the transaction ends; null: it does not, or only back to a savepoint. */
export function closingOf(sql: string): { readonly commits: boolean; readonly chains: boolean } | null {
  const words = wordsOf(sql)
  const [first = ''] = words ?? []
  if (words === null || !CLOSINGS.has(first) || words.includes('to') || words.includes('prepared')) return null
  const chains = words.at(-1) === 'chain' && words.at(-2) === 'and'
  return { commits: first === 'commit' || first === 'end', chains }
}

/** The tag that a server answers BEGIN or START TRANSACTION with. */
export function tagOfOpening(sql: string): 'BEGIN' | 'START TRANSACTION' {
  return wordsOf(sql)?.[0] === 'start' ? 'START TRANSACTION' : 'BEGIN'
}

const CLOSINGS: ReadonlySet<string> = new Set(['commit', 'end', 'rollback', 'abort'])

const LEVELS = ['read committed', 'read uncommitted', 'repeatable read', 'serializable'] as const

function levelOf([first, second]: readonly string[]): (typeof LEVELS)[number] | null {
  return LEVELS.find((level) => level === first || level === `${first} ${second}`) ?? null
}

/** Few texts begin and end transactions, and each is asked about several times in one. */
const words = new Memo<{ readonly words: readonly string[] | null }>(200)
const wordsIn = (sql: string) => ({ words: readWords(sql) })

/** The words of a single statement that consists of words and commas only, else null. */
function wordsOf(sql: string): readonly string[] | null {
  return words.of(sql, wordsIn).words
}

function readWords(sql: string): readonly string[] | null {
  const lexer = new Lexer(sql)
  const words: string[] = []
  let ended = false
  for (let kind = lexer.next(); kind !== Kind.end; kind = lexer.next()) {
    if (kind === Kind.semicolon) ended ||= words.length > 0
    else if (ended || (kind !== Kind.word && kind !== Kind.comma)) return null
    else if (kind === Kind.word) words.push(lexer.value)
  }
  return words
}

/**
 * Asks for what a standby cannot give though a primary can, also where a transaction only reads: to write after all, to be
 * serializable, a snapshot of the primary's, a lock on a table.
 */
export function escapesReadOnly(sql: string): boolean {
  return /\b(?:read\s+write|serializable|transaction_read_only|transaction_isolation|snapshot|lock|prepare\s+transaction)\b/i.test(
    sql
  )
}

/**
 * In a READ ONLY transaction on a standby: it would be refused or answered for the wrong server, or it changes the session,
 * which is the primary's. Of several statements in one text it is not known how many were executed.
 */
export function needsPrimary(sql: string, { intent, single }: Verdict, effect: Effect): boolean {
  if (!single) return true
  if (intent === 'read') return false
  return effect !== 'transaction' || escapesReadOnly(sql)
}

/** A standby would do it, in its own session or its own lock table, where the caller does not expect it. */
export function harmsElsewhere(sql: string, effect: Effect): boolean {
  return effect === 'taints' || /advisory/i.test(sql)
}

/** The isolation level that a statement gives its transaction; null: it says nothing of that. */
export function isolationIn(sql: string): Isolation | null {
  const [, level] = /\bisolation\s+level\s+(serializable|repeatable|read)\b/i.exec(sql) ?? []
  if (level === undefined) return null
  const word = level.toLowerCase()
  return word === 'serializable' ? word : word === 'repeatable' ? 'repeatable read' : 'read committed'
}
