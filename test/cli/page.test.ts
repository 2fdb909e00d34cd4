// A picture as text: what stands in the table, what goes first where it does not fit, and colours.

import assert from 'node:assert/strict'
import { type NodeRow, table } from '../../examples/demo/screen.js'
import { statusLines } from '../../src/cli/status.js'
import { verdictOf } from '../../src/cli/verdict.js'
import {
  bytesText,
  millisText,
  printable,
  printableJson,
  shortened,
  sqlIdentifier,
  wrapped,
} from '../../src/core/words.js'
import type { TopologySnapshot } from '../../src/index.js'
import { nodeTable } from '../../src/report/print.js'
import { coloured, cut, plain, unpainted } from '../../src/report/text.js'
import { downOf, nodeOf, picture, primaryOf } from '../support/snapshots.js'

const GRANT = 'GRANT pg_read_all_stats TO "app"'
const THREE = picture([
  primaryOf('db-a'),
  nodeOf('db-b', { lagMillis: 1234, lagBytes: 1_572_864, hidden: [{ what: 'its timeline', grant: GRANT }] }),
  downOf('db-c', 'connect ECONNREFUSED 10.0.0.3:5432', 'ECONNREFUSED'),
])

const page = (snapshot: TopologySnapshot, width = 120, paint = plain) =>
  statusLines({ target: 'app@db-a/shop' }, snapshot, verdictOf(snapshot), paint, width)
// biome-ignore lint/complexity/useRegexLiterals: a control character in a literal is an error of its own.
const ESCAPES = new RegExp('\\x1b\\[[0-9;]*m', 'g')

describe('the page of a cluster', () => {
  it('is this', () => {
    assert.deepEqual(page(THREE), [
      'app@db-a/shop',
      'system identifier 7 · PostgreSQL 15.18 · epoch 1',
      '',
      '  node       role     state      lag ≤  behind   position  tl  found by',
      '  db-a:5432  primary  up             –       –  0/3000148   1  configured',
      '  db-b:5432  replica  up         1.3 s  1.5 MB  0/3000148   1  configured',
      '  db-c:5432  –        down           –       –          –   –  configured',
      '  └ connect ECONNREFUSED 10.0.0.3:5432',
      '',
      'Writable. 1 of 1 replica serves reads.',
      '',
      'Hidden from this role:',
      '  - on db-b:5432: its timeline',
      'To be run on the primary:',
      `  ${GRANT};`,
    ])
  })

  it('has nothing of colours but escapes between, and none without', () => {
    const painted = page(THREE, 120, coloured)
    assert.notDeepEqual(painted, page(THREE))
    assert.deepEqual(
      painted.map((line) => line.replace(ESCAPES, '')),
      page(THREE)
    )
  })

  for (const width of [30, 40, 60, 80, 120]) {
    it(`keeps to ${width} columns, long names and reasons included`, () => {
      const refused = 'it is not proved to follow the present timeline, and that takes many words to tell'
      const long = 'pg-primary-0.cluster-abcdefghij.eu-central-1.rds.example.com'
      const lines = nodeTable(picture([primaryOf(long), nodeOf('b', { refused })]), plain, width)
      for (const line of lines) assert.ok(line.length <= width, `${line.length}: ${line}`)
      assert.ok(lines.some((line) => line.includes('no reads')))
    })
  }

  it('spares where nodes come from first, then timelines, then positions', () => {
    const heads = (width: number) => (nodeTable(THREE, plain, width)[0] ?? '').trim().split(/\s{2,}/)
    assert.deepEqual(heads(80), ['node', 'role', 'state', 'lag ≤', 'behind', 'position', 'tl', 'found by'])
    assert.deepEqual(heads(70), ['node', 'role', 'state', 'lag ≤', 'behind', 'position', 'tl'])
    assert.deepEqual(heads(58), ['node', 'role', 'state', 'lag ≤', 'behind', 'position'])
    assert.deepEqual(heads(48), ['node', 'role', 'state', 'lag ≤', 'behind'])
    assert.deepEqual(heads(40), ['node', 'role', 'state', 'lag ≤'])
    assert.deepEqual(heads(30), ['node', 'role', 'state'])
  })

  it('shows zones and weights where there are any', () => {
    const nodes = [primaryOf('a', { zone: 'x' }), nodeOf('b', { zone: 'y\x1b', weight: 2 })]
    const [head = '', ...rows] = nodeTable(picture(nodes), plain, 120)
    assert.match(head, /tl {2}zone +weight {2}found by/)
    assert.match(rows.join('\n'), /x +1 {2}configured\n.*y\\u\{1b\} +2 {2}configured/)
  })

  it('says where a pooler answers, and what to name instead', () => {
    const snapshot = picture([primaryOf('db-a', { pooled: true }), nodeOf('db-b')])
    const text = page(snapshot, 120).join('\n')
    assert.match(text, /db-a:5432[^\n]*\n {2}└ a pooler answers there: .*\n {2}db-b/)
    assert.match(
      text,
      /\nWritable\..*\ndb-a:5432 is a pooler: only what runs on the primary is sure\. Name the servers themselves\.$/
    )
  })
  it('names the source that could not be asked', () => {
    const blind = { 'dns db-x:5432': 'getaddrinfo ENOTFOUND db-x' }
    assert.ok(
      nodeTable(picture([primaryOf('a')], { blind }), plain, 80).some((line) =>
        /! dns db-x:5432: .*ENOTFOUND/.test(line)
      )
    )
  })

  it('lets no server move the cursor', () => {
    const failure = 'evil\x1b[2J\x1b]0;title\x07\nnext line'
    const text = page(picture([downOf('a', failure, null)], { systemIdentifier: null, epoch: 0 })).join('\n')
    assert.doesNotMatch(text.replaceAll('\n', ''), /\p{Cc}/u)
    assert.match(text, /└ evil\\u\{1b\}\[2J\\u\{1b\}\]0;title\\u\{7\} next line/)
  })

  const STATES: readonly (readonly [string, Parameters<typeof nodeOf>[1], RegExp])[] = [
    [
      'suspect',
      { suspect: true, failure: 'Connection terminated unexpectedly' },
      /suspect .*\n {2}└ Connection terminated/,
    ],
    ['draining', { draining: true, refused: 'drain() was called for it' }, /draining .*\n {2}└ drain\(\)/],
    ['not fresh', { refused: 'it has not replayed what this read must see' }, /no reads .*\n {2}└ it has not replayed/],
    [
      'foreign',
      { state: 'foreign', systemIdentifier: '9' },
      /– .*foreign .*\n {2}└ it belongs to another cluster, .* 9/,
    ],
    [
      'alias',
      { state: 'alias', refused: 'it is another address of a:5432' },
      /– .*alias .*\n {2}└ it is another address/,
    ],
    ['shown', { state: 'unknown', origin: 'shown', foundBy: 'replication' }, /listed .*replication/],
    ['claimant', { state: 'claimant', refused: 'it is not in recovery' }, /claimant +refused .*\n {2}└ it is not in/],
    ['found by name', { foundBy: 'dns', name: 'db.example' }, /dns db\.example/],
  ]
  for (const [name, more, pattern] of STATES) {
    it(`${name}: a word, and why`, () => {
      assert.match(nodeTable(picture([primaryOf('a'), nodeOf('b', more)]), plain, 120).join('\n'), pattern)
    })
  }
})

describe('the table of the demo', () => {
  const row = (name: string, role: NodeRow['role'], lagMillis: number | null): NodeRow => {
    return {
      name,
      key: '127.0.0.1:40329',
      role,
      state: 'not proven',
      readsPerSecond: 320,
      writesPerSecond: 40,
      lagMillis,
    }
  }
  const rows = [row('a', 'primary', null), row('b', 'replica', 1234.5)]
  const lines = (width: number) => table({ rows, waiting: 0, reads: [], writes: [] }, plain, width)
  for (const width of [40, 59, 79, 100]) {
    it(`keeps to ${width} columns`, () => {
      for (const line of lines(width)) assert.ok(line.length <= width, `${line.length}: ${line}`)
    })
  }
  it('is whole in 80 columns, and spares addresses first', () => {
    assert.match(lines(79)[0] ?? '', /^ {3}node +address +role +state +reads\/s +writes\/s +lag at most$/)
    assert.match(lines(70)[0] ?? '', /^ {3}node +role +state +reads\/s +writes\/s +lag at most$/)
  })
})

describe('text', () => {
  it('a line is cut at a width that its colours do not count for', () => {
    assert.equal(cut('abcdef', 6), 'abcdef')
    assert.equal(cut('abcdef', 5), 'abcd…')
    const [bold, dim] = [coloured('abc', 'bold'), coloured('def', 'dim')]
    assert.equal(cut(bold + dim, 6), bold + dim)
    assert.equal(unpainted(cut(bold + dim, 5)), 'abcd…')
    assert.equal(unpainted(cut(bold + dim, 4)), 'abc…')
    assert.equal(unpainted(cut(bold + dim, 3)), 'ab…')
    assert.match(cut(bold + dim, 3), /\[1mab….*\[0m.*\[0m$/, 'every colour is ended')
  })
  it('bounds of time are rounded up', () => {
    const cases = [0, 0.2, 999.2, 1001, 61_000, 100_001, 7_200_000]
    assert.deepEqual(cases.map(millisText), ['0 ms', '1 ms', '1000 ms', '1.1 s', '61.0 s', '2 min', '2 h'])
  })
  it('bytes as pg_size_pretty has them', () => {
    const cases = [0, 999, 1024, 1_572_864, 150 * 1024 * 1024, 2 ** 40]
    assert.deepEqual(cases.map(bytesText), ['0 B', '999 B', '1.0 kB', '1.5 MB', '150 MB', '1.0 TB'])
  })
  it('lines break between words, and words that are too long are cut', () => {
    assert.deepEqual(wrapped('one two three', 7), ['one two', 'three'])
    assert.deepEqual(wrapped('abcdefghij', 4), ['abcd', 'efgh', 'ij'])
    assert.deepEqual(wrapped('', 4), [])
  })
  it('names are shortened in the middle', () => {
    assert.equal(shortened('pg-primary.example.com:5432', 13), 'pg-pri…m:5432')
    assert.equal(shortened('short', 13), 'short')
  })
  it('line breaks are spaces, what has no picture of its own is shown as its number', () => {
    assert.equal(printable('a\r\nb\x9bc\u2028d'), 'a b\\u{9b}c d')
    assert.equal(
      printable('\x1b]0;x\x07 \u202egnp.exe \u{e0001}\ud800'),
      '\\u{1b}]0;x\\u{7} \\u{202e}gnp.exe \\u{e0001}\\u{d800}'
    )
  })
  it('JSON is the same value, and shows what it is', () => {
    const value = { role: 'a\x1b[8m\x7f\x9b\u202e\u2028\u{e0001}', nested: ['b\nc'] }
    const text = printableJson(value, 2)
    assert.deepEqual(JSON.parse(text), value)
    assert.match(text, /^[\x20-\x7e\n]+$/)
  })
  it('a name in SQL can be pasted, whatever stands in it', () => {
    assert.equal(sqlIdentifier('a"b\\c'), '"a""b\\c"')
    assert.equal(sqlIdentifier('é'), '"é"')
    assert.equal(sqlIdentifier('a\x1b"\\\u202e'), 'U&"a\\+00001b""\\\\\\+00202e"')
  })
})

describe('what a server says of itself', () => {
  const odd = 'x\x1b]0;owned\x07\r\n\u202e\x9b2J'
  const grant = `GRANT pg_read_all_stats TO ${sqlIdentifier(odd)}`
  const snapshot = picture([
    nodeOf('db-b', { hidden: [{ what: 'its timeline', grant }], version: odd, refused: odd, name: odd }),
    downOf('db-c', odd, 'constructor'),
  ])
  it('moves no cursor, wherever the page shows it', () => {
    for (const width of [40, 80, 200]) {
      for (const line of page(snapshot, width)) assert.match(line, /^[\x20-\x7e└–≤·…]*$/u, JSON.stringify(line))
    }
  })
  it('is no word of ours, whatever code it sends', () => {
    for (const code of ['constructor', '__proto__', 'toString']) {
      assert.equal(verdictOf(picture([downOf('db-c', 'no', code)])).advice, null)
    }
  })
})
