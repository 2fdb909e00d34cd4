import assert from 'node:assert/strict'
import { Kind, Lexer } from '../../src/core/sql/lexer.js'

const NAMES = new Map<number, string>(Object.entries(Kind).map(([name, kind]) => [kind, name]))

/** `word:select number` and so on; stops at the end or at what cannot be read. */
function tokens(sql: string): string {
  const lexer = new Lexer(sql)
  const seen: string[] = []
  for (;;) {
    const kind = lexer.next()
    if (kind === Kind.end) return seen.join(' ')
    seen.push(lexer.value === '' ? (NAMES.get(kind) ?? '?') : `${NAMES.get(kind)}:${lexer.value}`)
    if (kind === Kind.bad) return seen.join(' ')
  }
}

const CASES: readonly (readonly [why: string, sql: string, expected: string])[] = [
  ['words fold', 'SELECT Foo_1$', 'word:select word:foo_1$'],
  ['only ASCII folds: the KELVIN SIGN is not a k', 'LI\u212aE', 'word:li\u212ae'],
  ['capitals beside letters of other scripts fold', 'ÄBc', 'word:Äbc'],
  ['the no-break space is a letter', 'a\u00a0b', 'word:a\u00a0b'],
  ['so is the byte order mark', '\ufeffselect', 'word:\ufeffselect'],
  ['and half of a surrogate pair', 'a\ud800', 'word:a\ud800'],
  ['a quoted name keeps its case and loses its quotes', '"A""b" x', 'name:A"b word:x'],
  ['a quoted name that never ends', '"a""', 'bad'],
  ['a name in Unicode escapes is not read', 'U&"d\\0061"', 'bad'],
  ['u & with a space is an operator', 'u & "x"', 'word:u operator name:x'],
  ['a doubled quote does not end a literal', "'it''s' x", 'text text word:x'],
  ['a backslash does not hide a quote', "'\\' x", 'text word:x'],
  ['it does in an escape string', "e'\\' x' y", 'text word:y'],
  ['also in capitals, and a doubled quote there', "E'a''\\'' y", 'text word:y'],
  ['an escape string goes on behind a line break', "e'a'\n'\\'' y", 'text word:y'],
  ['also behind a comment', "e'a' -- c\n '\\'' y", 'text word:y'],
  ['but not behind spaces alone', "e'a' '\\' y", 'text text word:y'],
  ['nor behind a block comment', "e'a' /*\n*/ '\\' y", 'text text word:y'],
  ['a plain string goes on as a plain one', "'a'\n'\\' y", 'text text word:y'],
  ['an escape string that ends in a backslash', "e'\\", 'bad'],
  ['bit, hexadecimal and national literals', "b'1' X'f' n'x' u&'\\0061'", 'text text text text'],
  ['a longer word before a quote is no prefix', "be'\\' x", 'word:be text word:x'],
  ['a literal that never ends', "'a", 'bad'],
  ['dollar quotes', '$$a$b$$ x', 'text word:x'],
  ['dollar quotes end at their own tag', '$a$ $b$ $$ $a$ x', 'text word:x'],
  ['a tag in another script', '$é$;$é$', 'text'],
  ['within a word the dollar is a letter', 'a$b$ x', 'word:a$b$ word:x'],
  ['a dollar quote that never ends', '$a$ $b$', 'bad'],
  ['a dollar alone', '$ 1', 'bad'],
  ['parameters', '$1+$22', 'number operator number'],
  ['a parameter ends before letters', '$1into', 'number word:into'],
  ['a number keeps its dot', '1.into', 'number word:into'],
  ['but not two of them', '1..2', 'number dot dot number'],
  ['a number may begin with a dot', '.5', 'dot number'],
  ['letters behind a number are a word', '1e5 0x1F', 'number word:e5 number word:x1f'],
  ['line comments end at LF or CR', '--a\nb --c\rd', 'word:b word:d'],
  ['but not at other line breaks', '--a\u2028b\u0085c\fd', ''],
  ['a comment begins within an operator', '+--a\n-/*b*/*', 'operator operator operator'],
  ['block comments nest', '/* /* */ a */ b', 'word:b'],
  ['a comment holds no string', '/*\'*/ b /*"*/', 'word:b'],
  ['a comment that never ends', 'a /* /* */ b', 'word:a bad'],
  ['an end of a comment that never began', '*/', 'operator operator'],
  [
    'casts, slices and named arguments',
    'a::b[1:2] c := d',
    'word:a cast word:b subscript number operator number bracket word:c operator operator word:d',
  ],
  ['all of the punctuation', '(a.b,c);', 'open word:a dot word:b comma word:c close semicolon'],
  ['all operators', '~!@#^&|`?+*%<>=', Array.from({ length: 15 }, () => 'operator').join(' ')],
  ['what SQL does not know', 'a \\d', 'word:a bad'],
  ['control characters', 'a\u0001', 'word:a bad'],
  ['nothing', ' \t\r\n\f\v', ''],
]

describe('lexer: tokens end where PostgreSQL ends them', () => {
  for (const [why, sql, expected] of CASES) {
    it(`${why}: ${JSON.stringify(sql)}`, () => assert.equal(tokens(sql), expected))
  }
})

describe('lexer: size and depth', () => {
  const many = 300_000
  const rows: readonly (readonly [name: string, sql: string])[] = [
    ['nested comments', `${'/*'.repeat(many)}${'*/'.repeat(many)}`],
    ['comments that never end', '/*'.repeat(many)],
    ['quotes', "'".repeat(many + 1)],
    ['doubled double quotes', '"'.repeat(many + 1)],
    ['dollars', '$'.repeat(many + 1)],
    ['different tags', Array.from({ length: 20_000 }, (_, i) => `$a${i}$`).join(' ')],
    ['escape strings with breaks', "e'a'\n".repeat(many)],
    ['backslashes', `e'${'\\'.repeat(many)}`],
    ['line comments', '--\n'.repeat(many)],
    ['one word', 'a'.repeat(many)],
    ['dots', '1.'.repeat(many)],
  ]
  for (const [name, sql] of rows) {
    it(`${name} are read in linear time`, () => {
      const started = process.hrtime.bigint()
      tokens(sql)
      const millis = Number(process.hrtime.bigint() - started) / 1e6
      assert.ok(millis < 3000, `${millis} ms`)
    })
  }
})

describe('lexer: the leading comment', () => {
  const rows: readonly (readonly [sql: string, expected: string | null])[] = [
    ['/* a */ select 1', ' a '],
    ['\n /*a*/', 'a'],
    ['select /* a */ 1', null],
    ['-- x\n/* a */', null],
    ['/* a', null],
    ['', null],
  ]
  for (const [sql, expected] of rows) {
    it(JSON.stringify(sql), () => assert.equal(new Lexer(sql).leadingComment(), expected))
  }
})
