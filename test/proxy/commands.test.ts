// What the console understands.

import assert from 'node:assert/strict'
import { commandOf } from '../../src/proxy/console/commands.js'

const ROWS: readonly (readonly [string, object])[] = [
  ['SHOW POOLS;', { kind: 'show', what: 'pools' }],
  ['show  nodes', { kind: 'show', what: 'nodes' }],
  ['pause', { kind: 'pause' }],
  ['RESUME;', { kind: 'resume' }],
  ['KILL_CLIENT 12', { kind: 'kill_client', id: 12 }],
  ['shutdown', { kind: 'shutdown', waits: false }],
  ['SHUTDOWN WAIT_FOR_CLIENTS', { kind: 'shutdown', waits: true }],
  ['SET extra_float_digits = 3', { kind: 'nothing', tag: 'SET' }],
  ['', { kind: 'nothing', tag: '' }],
  ['/* a driver */ begin', { kind: 'nothing', tag: 'BEGIN' }],
]

const WRONG = ['show', 'show everything', 'drop table x', 'kill_client', 'kill_client x', 'pause shop', 'shutdown now']

describe('commands of the console', () => {
  for (const [text, command] of ROWS) it(`'${text}'`, () => assert.deepEqual(commandOf(text), command))
  for (const text of WRONG) it(`'${text}': wrong`, () => assert.equal(commandOf(text).kind, 'wrong'))
})
