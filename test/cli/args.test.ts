// The words behind `pgherd`, and what is wanted of it.

import assert from 'node:assert/strict'
import { commandOf } from '../../src/cli/args.js'

const URL = 'postgres://app@a,b/shop'
const WANTED = { url: URL, maxLagMillis: 1000, discovery: null, timeoutMillis: 5000, json: false }

const RIGHT: readonly (readonly [string, object])[] = [
  ['--help', { kind: 'help', of: null }],
  ['-h', { kind: 'help', of: null }],
  ['help', { kind: 'help', of: null }],
  ['help watch', { kind: 'help', of: 'watch' }],
  ['watch --help', { kind: 'help', of: 'watch' }],
  ['--version', { kind: 'version' }],
  ['-V', { kind: 'version' }],
  [`status ${URL}`, { kind: 'status', ...WANTED, replicas: 0 }],
  ['status', { kind: 'status', ...WANTED, url: null, replicas: 0 }],
  [`status ${URL} --replicas 2 --json`, { kind: 'status', ...WANTED, json: true, replicas: 2 }],
  [`--timeout 0.5 status ${URL}`, { kind: 'status', ...WANTED, timeoutMillis: 500, replicas: 0 }],
  [`watch ${URL} --max-lag=infinity`, { kind: 'watch', ...WANTED, maxLagMillis: Infinity }],
  [`watch ${URL} --max-lag 250`, { kind: 'watch', ...WANTED, maxLagMillis: 250 }],
  [`watch ${URL} --discovery replication`, { kind: 'watch', ...WANTED, discovery: 'replication' }],
  ['watch /var/run/postgresql', { kind: 'watch', ...WANTED, url: '/var/run/postgresql' }],
]

const WRONG: readonly (readonly [string, RegExp])[] = [
  ['', /no command was given/],
  ['stauts', /there is no command 'stauts'/],
  ['help stauts', /there is no command 'stauts'/],
  [URL, /a command comes before the URL/],
  ['--colour', /unknown option '--colour'/],
  ['status --replicas', /argument missing|ambiguous/i],
  ['status --replicas x', /--replicas must be/],
  ['status --replicas -1', /ambiguous|--replicas must be/],
  ['watch --replicas 1', /watch has no option --replicas/],
  ['watch --timeout 1', /watch has no option --timeout/],
  ['explain --replicas 1 select', /explain has no option --replicas/],
  ['status --timeout 0', /--timeout must be/],
  ['status --timeout soon', /--timeout must be/],
  ['status --max-lag 0', /--max-lag must be/],
  ['status --max-lag 1s', /--max-lag must be/],
  ['status --discovery pods', /--discovery must be replication or dns/],
  ['status db-a', /that is no URL/],
  [`status ${URL} ${URL}`, /status takes one URL/],
  ['explain', /explain needs a statement/],
  [`explain ${URL}`, /explain needs a statement/],
  [`explain ${URL} select 1`, /put it in quotes/],
]

const words = (line: string) => line.split(' ').filter((word) => word !== '')

describe('the arguments of pgherd', () => {
  for (const [line, command] of RIGHT) it(`pgherd ${line}`, () => assert.deepEqual(commandOf(words(line)), command))
  for (const [line, pattern] of WRONG) {
    it(`pgherd ${line}: wrong`, () => {
      const command = commandOf(words(line))
      assert.ok(command.kind === 'wrong', command.kind)
      assert.match(command.message, pattern)
      assert.doesNotMatch(command.message, /\n/)
    })
  }
  it('a statement is one word, with a URL before it or without', () => {
    const explain = { kind: 'explain', ...WANTED, statement: 'select 1' }
    assert.deepEqual(commandOf(['explain', URL, 'select 1']), explain)
    assert.deepEqual(commandOf(['explain', 'select 1']), { ...explain, url: null })
    assert.deepEqual(commandOf(['explain', '--', '-- a comment']), { ...explain, url: null, statement: '-- a comment' })
  })
  it('repeats no URL: it may hold a password', () => {
    for (const line of ['postgres://a:secret@b/c', 'status host=b,password=secret', 'status x postgres://a:secret@b']) {
      const command = commandOf(words(line))
      assert.ok(command.kind === 'wrong' && !command.message.includes('secret'), line)
    }
  })
})
