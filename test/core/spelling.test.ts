// Which name a misspelt one was meant to be, and which names are none of ours.

import assert from 'node:assert/strict'
import { misspelt, OPTIONS } from '../../src/config/options.js'
import { distance, meantBy } from '../../src/core/spelling.js'

const OURS = Object.keys(OPTIONS)

describe('a misspelt option', () => {
  const cases: readonly (readonly [string, string | null])[] = [
    ['maxLagMilis', 'maxLagMillis'],
    ['maxLagMillis', null],
    ['maxlagmillis', 'maxLagMillis'],
    ['max_lag_millis', 'maxLagMillis'],
    ['maxLag', 'maxLagMillis'],
    ['maxLagMs', 'maxLagMillis'],
    ['maxLagByte', 'maxLagBytes'],
    ['readYourWrite', 'readYourWrites'],
    ['readYoruWrites', 'readYourWrites'],
    ['failoverTimeout', 'failoverTimeoutMillis'],
    ['failoverQueues', 'failoverQueue'],
    ['balancer', 'balance'],
    ['discover', 'discovery'],
    ['onDiscovery', 'onDiscover'],
    ['targetSessionAttributes', null],
    ['lag', null],
    ['balanceSheet', null],
    ['x'.repeat(10_000), null],
  ]
  for (const [name, meant] of cases) {
    it(`${name.slice(0, 40)} -> ${meant ?? 'nothing'}`, () => assert.equal(meantBy(name, OURS), meant))
  }

  it("is none of pg's own, nor of what libraries pass through", () => {
    const pgs = [
      'max',
      'min',
      'idleTimeoutMillis',
      'connectionTimeoutMillis',
      'maxUses',
      'maxLifetimeSeconds',
      'keepAlive',
    ]
    const more = [
      'statement_timeout',
      'query_timeout',
      'application_name',
      'options',
      'binary',
      'verify',
      'onConnect',
      'log',
    ]
    const libraries = [
      'pool',
      'schema',
      'extra',
      'logging',
      'entities',
      'afterCreate',
      'acquireTimeoutMillis',
      'isolation',
    ]
    assert.deepEqual(misspelt([...pgs, ...more, ...libraries, ...OURS]), [])
    assert.deepEqual(misspelt(['max', 'whenStales']), [{ asked: 'whenStales', meant: 'whenStale' }])
  })

  it('is measured in letters that are added, left out, exchanged or swapped', () => {
    const pairs = [
      ['route', 'route'],
      ['route', 'rout'],
      ['route', 'routes'],
      ['route', 'ruote'],
      ['route', 'raute'],
      ['', 'abc'],
    ]
    assert.deepEqual(
      pairs.map(([a = '', b = '']) => distance(a, b)),
      [0, 1, 1, 1, 1, 3]
    )
  })
})
