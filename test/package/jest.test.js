// Jest, as it is without any setting: CommonJS.

const pg = require('pg')
const { startCluster } = require('pgherd/testing')
const { Pool, PgherdError, classify, default: whole } = require('pgherd')

test('the package is loaded by require', () => {
  expect(new Pool({ host: '203.0.113.1' })).toBeInstanceOf(pg.Pool)
  expect(whole.Pool).toBe(Pool)
  expect(classify('select 1')).toBe('read')
  expect(require('pgherd/classify').classify).toBe(classify)
  expect(typeof startCluster).toBe('function')
  expect(() => new Pool({ maxLagMillis: -1 })).toThrow(PgherdError)
})
