// A text -> the steps that its statements take through transactions. Reads texts with the lexer; knows no server.

import { Kind, Lexer } from './lexer.js'

/**
 * What a statement does to the transaction: begins one; ends it, perhaps to chain the next; only shapes it or the session;
 * works in it. sync: what is sent behind it is a text of its own.
 */
export type Step = 'begin' | 'commit' | 'commit-chain' | 'rollback' | 'rollback-chain' | 'shape' | 'work' | 'sync'

/** What the statements of a text do, in their order; null: it cannot be read. */
export function stepsOf(sql: string): readonly Step[] | null {
  const lexer = new Lexer(sql)
  const steps: Step[] = []
  let words: string[] = []
  let previous = ''
  let depth = 0
  let body = 0 // BEGIN ATOMIC and CASE not yet closed by END
  for (let kind = lexer.next(); ; kind = lexer.next()) {
    if (kind === Kind.bad) return null
    if (kind === Kind.end || (kind === Kind.semicolon && depth === 0 && body === 0)) {
      if (words.length > 0) steps.push(stepOf(words))
      words = []
      if (kind === Kind.end) return steps
    } else {
      const word = kind === Kind.word ? lexer.value : ''
      if (word === 'atomic' && words[0] === 'create' && previous === 'begin') body = 1
      else if (body > 0 && (word === 'case' || word === 'end')) body += word === 'case' ? 1 : -1
      if (kind === Kind.open) depth++
      else if (kind === Kind.close) depth--
      previous = word
      if (words.length < MOST_WORDS) words.push(word)
    }
  }
}

const FIRST_WORDS: ReadonlyMap<string, Step> = new Map<string, Step>([
  ['begin', 'begin'],
  ['start', 'begin'],
  ['commit', 'commit'],
  ['end', 'commit'],
  ['rollback', 'rollback'],
  ['abort', 'rollback'],
  ...(
    'savepoint release set reset show listen unlisten discard deallocate close prepare lock load'.split(' ') as string[]
  ).map((word) => [word, 'shape'] as const),
])

/** ROLLBACK TRANSACTION TO SAVEPOINT a; COMMIT WORK AND NO CHAIN */
export const MOST_WORDS = 6

export function stepOf(words: readonly string[]): Step {
  const [first = '', second = ''] = words
  if (first === 'prepare' && second === 'transaction') return 'commit' // what it wrote may come to stay
  const step = FIRST_WORDS.get(first) ?? 'work'
  if (step !== 'commit' && step !== 'rollback') return step
  if (second === 'prepared') return 'work'
  if (words.includes('to')) return 'shape' // a savepoint
  const chains = words.at(-1) === 'chain' && words.at(-2) === 'and'
  return chains ? `${step}-chain` : step
}
