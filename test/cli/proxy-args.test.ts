// The words behind `pgherd proxy`, and what is wanted of it.

import assert from 'node:assert/strict'
import { commandOf } from '../../src/cli/args.js'
import { AUTH_QUERY, DEFAULTS } from '../../src/proxy/options.js'

const URL = 'postgres://app@a,b/shop'
const words = (line: string) => line.split(' ').filter((word) => word !== '')

const RIGHT: readonly (readonly [string, object])[] = [
  [`--trust ${URL}`, { url: URL, listen: { host: '127.0.0.1', port: 6432 }, authFile: null }],
  ['--trust', { url: null }],
  ['--trust --listen [::1]:7000', { listen: { host: '::1', port: 7000 } }],
  ['--auth-file users --listen :6432', { listen: { host: '0.0.0.0', port: 6432 }, authFile: 'users' }],
  ['--trust --metrics 127.0.0.1:9127', { metrics: { host: '127.0.0.1', port: 9127 } }],
  ['--trust --max-lag infinity', { maxLagMillis: Infinity }],
  ['--trust --drain 5', { drainMillis: 5000 }],
  ['--auth-file u --tls-cert c --tls-key k --tls-required', { tlsCert: 'c', tlsKey: 'k', isTlsRequired: true }],
  [
    '--demo',
    { demo: true, url: null, listen: { host: '127.0.0.1', port: 6432 }, options: { ...DEFAULTS, authType: 'trust' } },
  ],
  ['--demo --listen [::1]:7000 --max-lag 5', { demo: true, listen: { host: '::1', port: 7000 }, maxLagMillis: 5 }],
  [`--trust ${URL}`, { demo: false }],
  [
    '--auth-query default --pool-mode session --pool-size 5 --max-clients 50 --admin-users a,b --query-wait-timeout 3',
    {
      options: {
        ...DEFAULTS,
        authQuery: AUTH_QUERY,
        poolMode: 'session',
        defaultPoolSize: 5,
        maxClientConn: 50,
        adminUsers: new Set(['a', 'b']),
        queryWaitTimeoutMillis: 3000,
      },
    },
  ],
]

const WRONG: readonly (readonly [string, RegExp])[] = [
  ['', /must know its users/],
  ['--trust --listen 0.0.0.0:6432', /--trust lets everyone in/],
  ['--trust --listen :6432', /--trust lets everyone in/],
  ['--trust --auth-file u', /leave --auth-file/],
  ['--trust --listen 6432', /--listen must be an address and a port/],
  ['--trust --listen 127.0.0.1:70000', /--listen must be/],
  ['--trust --pool-mode statements', /--pool-mode must be/],
  ['--trust --pool-size 0', /--pool-size must be/],
  ['--trust --max-lag 1s', /--max-lag must be/],
  ['--trust --tls-cert c', /belong together/],
  ['--auth-file u --tls-required', /--tls-required needs/],
  [`--trust ${URL} ${URL}`, /proxy takes one URL/],
  [`--demo ${URL}`, /--demo starts its own servers: leave the URL out/],
  ['--demo --listen :6432', /--demo lets everyone in/],
  ['--demo --auth-file u', /--demo asks for no password/],
  ['--trust db-a', /that is no URL/],
  ['--trust --colour', /unknown option '--colour'/],
]

describe('the arguments of pgherd proxy', () => {
  for (const [line, wanted] of RIGHT) {
    it(`pgherd proxy ${line}`, () => {
      const command = commandOf(['proxy', ...words(line)])
      assert.ok(command.kind === 'proxy', JSON.stringify(command))
      assert.deepEqual({ ...command, ...wanted }, command)
    })
  }
  for (const [line, pattern] of WRONG) {
    it(`pgherd proxy ${line}: wrong`, () => {
      const command = commandOf(['proxy', ...words(line)])
      assert.ok(command.kind === 'wrong', command.kind)
      assert.match(command.message, pattern)
      assert.equal(command.of, 'proxy')
    })
  }
  it('pgherd proxy --help, and help proxy', () => {
    assert.deepEqual(commandOf(['proxy', '--help']), { kind: 'help', of: 'proxy' })
    assert.deepEqual(commandOf(['help', 'proxy']), { kind: 'help', of: 'proxy' })
  })
})
