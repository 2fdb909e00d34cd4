// Vitest: ES modules, and mocks of this package.

import pg from 'pg'
import pgherd, { classify, PgherdError, Pool } from 'pgherd'
import { classify as alone } from 'pgherd/classify'
import { startCluster } from 'pgherd/testing'
import { expect, test } from 'vitest'

test('the package is loaded by import', () => {
  expect(new Pool({ host: '203.0.113.1' })).toBeInstanceOf(pg.Pool)
  expect(pgherd.Pool).toBe(Pool)
  expect(alone).toBe(classify)
  expect(typeof startCluster).toBe('function')
  expect(() => new Pool({ maxLagMillis: -1 })).toThrow(PgherdError)
})
