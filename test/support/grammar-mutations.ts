// Statements of grammar.ts in other clothes: what a statement does stays as it is, or becomes a write where it is
// joined to one. Works on the tokens a statement was made of, so that no reading of SQL is needed, nor trusted.

import { apart, generate, type Random, render, type Statement, type Token, tokensOf } from './grammar.js'

/** One to three changes of a statement: to what is around it, then to how it is written. */
export function mutate(statement: Statement, random: Random, major = 18): Statement {
  let { tokens, kind, query } = statement
  for (let left = random.below(3); left > 0; left--) {
    const wrapped = wrap({ tokens, kind, query }, random)
    tokens = wrapped.tokens
    kind = wrapped.kind
    query = wrapped.query
  }
  return { sql: random.chance(0.9) ? dressed(tokens, random, major) : render(tokens, true), kind, tokens, query }
}

type Body = Omit<Statement, 'sql'>

/** `?` is the statement. These keep what it does. */
const AROUND: readonly (readonly Token[])[] = [
  '( ? )',
  '( ( ? ) )',
  'WITH wrapped AS ( ? ) TABLE wrapped',
  'WITH one AS ( SELECT 1 AS one ) , wrapped AS NOT MATERIALIZED ( ? ) SELECT 2 FROM wrapped , one',
  'WITH one ( a ) AS ( VALUES ( 1 ) ) ( SELECT 2 FROM one WHERE EXISTS ( ? ) )',
  'SELECT * FROM ( ? ) AS wrapped',
  'SELECT count ( * ) FROM ( ? ) wrapped',
  'SELECT wrapped FROM ( ? ) "wrapped" LIMIT 5',
  'SELECT w . * FROM ( VALUES ( 1 ) ) AS v ( x ) LEFT JOIN LATERAL ( ? ) AS w ON TRUE',
  'SELECT EXISTS ( ? )',
  'SELECT 1 WHERE NOT EXISTS ( ? ) OR TRUE',
  'SELECT CASE WHEN EXISTS ( ( ? ) ) THEN 1 END',
  '( ? ) UNION ALL ( ? )',
  'VALUES ( EXISTS ( ? ) )',
].map(tokensOf)

/** What these do to the session, the server or its rows, they do whatever they are given. */
const INTO_WRITES: readonly (readonly Token[])[] = [
  'EXPLAIN ?',
  'EXPLAIN ( ANALYZE , COSTS FALSE ) ?',
  'PREPARE wrapped AS ?',
  'DECLARE wrapped CURSOR FOR ?',
  'CREATE TABLE wrapped AS ?',
  'CREATE VIEW wrapped AS ?',
  'INSERT INTO tags ?',
  'WITH gone AS ( DELETE FROM tags RETURNING * ) ( ? )',
  'WITH wrapped AS ( ? ) DELETE FROM tags',
  'SELECT * INTO made FROM ( ? ) AS wrapped',
  'SELECT * FROM ( ? ) AS wrapped FOR SHARE',
  `SELECT nextval ( 'seq' ) , wrapped FROM ( ? ) AS wrapped`,
  `COPY ( ? ) TO '/tmp/x'`,
].map(tokensOf)

const SEMICOLON = tokensOf(';')
const WRITERS = generate(1, 400).filter(({ kind }) => kind === 'write')

function wrap(body: Body, random: Random): Body {
  const { tokens, kind, query } = body
  const choice = random.below(10)
  if (choice < 6 && query) return { tokens: around(random.pick(AROUND), tokens), kind, query }
  if (choice === 6 && query) return { tokens: around(random.pick(INTO_WRITES), tokens), kind: 'write', query: false }
  if (choice === 7) {
    const both = [tokens, random.pick(WRITERS).tokens]
    const [first = [], second = []] = random.chance(0.5) ? both : both.reverse()
    return { tokens: [...first, ...SEMICOLON, ...second], kind: 'write', query: false }
  }
  if (choice === 8) return { tokens: [...SEMICOLON, ...SEMICOLON, ...tokens], kind, query: false }
  return { tokens: [...tokens, ...SEMICOLON], kind, query: false }
}

const around = (frame: readonly Token[], tokens: readonly Token[]): Token[] =>
  frame.flatMap((token) => (token.text === '?' ? tokens : [token]))

const BLANKS = [' ', '  ', '\n', '\t', '\r\n', '\f', '\n\n\t']
const REMARKS = [
  '',
  ' a remark ',
  ` it's `,
  ' " ',
  ' ; delete from items; ',
  ' $$ ',
  ' $a$ ',
  ' for update ',
  ' ( ',
  ' [ ) ',
  ` E'\\' `,
  ' -- ',
  ' U&"',
  ' pgherd:primary ',
]

/** Blanks and comments of every kind, between any two tokens and around all; cases; quotes around names. */
function dressed(tokens: readonly Token[], random: Random, major: number): string {
  const busy = random.pick([0.02, 0.1, 0.6])
  let sql = random.chance(busy) ? gap(undefined, random, major) : ''
  let previous: Token | undefined
  for (const token of tokens) {
    if (previous !== undefined) {
      if (random.chance(busy)) sql += gap(previous, random, major)
      else if (random.chance(0.5) || apart(previous, token)) sql += ' '
    }
    sql += spelled(token, random)
    previous = token
  }
  return random.chance(0.3) ? `${sql}${gap(previous, random, major)}` : sql
}

function gap(before: Token | undefined, random: Random, major: number): string {
  // A minus sign and the two of a comment would be a comment and a minus sign.
  let text = before?.text.endsWith('-') ? ' ' : ''
  const blanks = major < 16 ? BLANKS : [...BLANKS, '\v']
  for (let left = random.below(3); left >= 0; left--) {
    const kind = random.below(4)
    if (kind === 0) text += `--${random.pick(REMARKS)}${random.pick(['\n', '\r', '\r\n'])}`
    else text += kind === 1 ? blockComment(random, 2) : random.pick(blanks)
  }
  return text
}

function blockComment(random: Random, nested: number): string {
  const inside = nested > 0 && random.chance(0.3) ? blockComment(random, nested - 1) : ''
  return `/*${random.pick(['', '* ', ' '])}${random.pick(REMARKS)}${inside}${random.pick(REMARKS)}*/`
}

/** Only A to Z fold on the server, so only they may change. */
function spelled({ text, shape }: Token, random: Random): string {
  if (shape === 'name' && random.chance(0.15)) return `"${text}"`
  if (shape !== 'keyword' && shape !== 'name') return text
  const way = random.below(4)
  if (way === 0) return text
  if (way === 1) return lowered(text)
  if (way === 2) return raised(text)
  const middle = random.below(text.length)
  return lowered(text.slice(0, middle)) + raised(text.slice(middle, middle + 2)) + text.slice(middle + 2)
}

const ASCII = /^[ -~]*$/
const lowered = (text: string) => (ASCII.test(text) ? text.toLowerCase() : text)
const raised = (text: string) => (ASCII.test(text) ? text.toUpperCase() : text)
