import assert from 'node:assert/strict'
import { DatabaseError, PgherdError } from '../../src/index.js'
import { errorAttributes } from '../../src/telemetry/spans.js'

const fields = (error: Error, more: object) => Object.assign(error, more)

describe('error.type', () => {
  const rows: readonly (readonly [what: string, error: unknown, attributes: object])[] = [
    [
      "the server's",
      fields(new DatabaseError('duplicate key', 1, 'error'), {
        code: '23505',
        severity: 'ERROR',
        outcome: 'rolled-back',
      }),
      { 'error.type': '23505', 'db.response.status_code': '23505', 'pgherd.outcome': 'rolled-back' },
    ],
    [
      "a socket's",
      fields(new Error('x'), { code: 'EPIPE', outcome: 'unknown' }),
      { 'error.type': 'EPIPE', 'pgherd.outcome': 'unknown' },
    ],
    [
      "pgherd's",
      new PgherdError('PGHERD_NO_PRIMARY', 'x'),
      { 'error.type': 'PGHERD_NO_PRIMARY', 'pgherd.outcome': 'not-sent' },
    ],
    ["the caller's", AbortSignal.abort().reason, { 'error.type': 'AbortError' }],
    ["pg's, which has no code", new TypeError('x'), { 'error.type': 'TypeError' }],
    [
      "the application's, with a value for a code",
      fields(new RangeError('x'), { code: 'no user hunter2' }),
      { 'error.type': 'RangeError' },
    ],
    ['a sentence for a name', fields(new Error('x'), { name: 'no user hunter2' }), { 'error.type': '_OTHER' }],
    ['no error at all', 'thrown', { 'error.type': '_OTHER' }],
    ['nothing', undefined, { 'error.type': '_OTHER' }],
  ]
  for (const [what, error, attributes] of rows) it(what, () => assert.deepEqual(errorAttributes(error), attributes))
})
