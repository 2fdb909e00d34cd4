// The words behind `pgherd proxy`, and what is wanted of it: of the words alone, and together with the environment and a file.

import assert from 'node:assert/strict'
import { commandOf } from '../../src/cli/args.js'
import { type ProxyWanted, wantedBy } from '../../src/cli/proxy-args.js'
import { environmentLayer, fileLayer, type Settled, settle } from '../../src/cli/proxy-settings.js'
import { AUTH_QUERY, DEFAULTS } from '../../src/proxy/options.js'

const URL = 'postgres://app@a,b/shop'
const TRUST = { ...DEFAULTS, authType: 'trust' }
const words = (line: string) => line.split(' ').filter((word) => word !== '')

type Variables = Readonly<Record<string, string>>

/** Throws where the words, the variables or the lines are wrong, or do not go together. */
function settled(line: string, variables: Variables = {}, ...lines: readonly string[]): Settled {
  const command = commandOf(['proxy', ...words(line)])
  assert.ok(command.kind === 'proxy' || command.kind === 'wrong', command.kind)
  if (command.kind === 'wrong') {
    assert.equal(command.of, 'proxy')
    throw new Error(command.message)
  }
  return settle([command.flags, environmentLayer(variables), fileLayer(lines.join('\n'))])
}

const wantedOf = (...given: Parameters<typeof settled>): ProxyWanted => wantedBy(settled(...given))

const RIGHT: readonly (readonly [string, object])[] = [
  [`--trust ${URL}`, { url: URL, listen: { host: '127.0.0.1', port: 6432 }, authFile: null }],
  ['--trust', { url: null }],
  ['--trust --listen [::1]:7000', { listen: { host: '::1', port: 7000 } }],
  ['--auth-file users --listen :6432', { listen: { host: '0.0.0.0', port: 6432 }, authFile: 'users' }],
  ['--trust --metrics 127.0.0.1:9127', { metrics: { host: '127.0.0.1', port: 9127 } }],
  ['--trust --max-lag infinity', { maxLagMillis: Infinity }],
  ['--trust --drain 5', { drainMillis: 5000 }],
  ['--auth-file u --tls-cert c --tls-key k --tls-required', { tlsCert: 'c', tlsKey: 'k', isTlsRequired: true }],
  ['--demo', { url: null, listen: { host: '127.0.0.1', port: 6432 }, options: { ...DEFAULTS, authType: 'trust' } }],
  ['--demo --listen [::1]:7000 --max-lag 5', { listen: { host: '::1', port: 7000 }, maxLagMillis: 5 }],
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
  ['--demo --workers 2', /--demo is one process/],
  ['--trust db-a', /that is no URL/],
  ['--trust --colour', /unknown option '--colour'/],
]

/** Flags, variables, lines of the file; what is in force. */
const LAYERS: readonly (readonly [string, Variables, readonly string[], object])[] = [
  ['--trust', {}, ['pool_mode = session'], { options: { ...TRUST, poolMode: 'session' } }],
  [
    '--trust --pool-mode statement',
    { PGHERD_PROXY_POOL_MODE: 'session' },
    ['pool_mode = transaction'],
    { options: { ...TRUST, poolMode: 'statement' } },
  ],
  [
    '--trust',
    { PGHERD_PROXY_POOL_MODE: 'session' },
    ['pool_mode = statement'],
    { options: { ...TRUST, poolMode: 'session' } },
  ],
  ['--trust', { PGHERD_PROXY_POOL_MODE: '' }, ['pool_mode = session'], { options: { ...TRUST, poolMode: 'session' } }],
  ['', {}, ['auth_type = trust', 'listen_port = 7000'], { listen: { host: '127.0.0.1', port: 7000 } }],
  ['--trust --listen :7001', {}, ['listen_addr = 10.0.0.1', 'listen_port = 7000'], { wrong: /lets everyone in/ }],
  ['--listen :7001', {}, ['auth_file = u', 'listen_addr = 10.0.0.1'], { listen: { host: '0.0.0.0', port: 7001 } }],
  ['', {}, ['auth_file = u', 'listen_addr = *'], { listen: { host: '0.0.0.0', port: 6432 } }],
  // The stronger place decides who may come in; a weaker one opens no door that the stronger one has shut.
  ['--trust', {}, ['auth_file = u'], { authFile: null, options: TRUST }],
  ['--auth-file u', {}, ['auth_type = trust'], { wrong: /auth_type in line 1 asks for no password/ }],
  ['', {}, ['auth_type = trust', 'auth_file = u'], { wrong: /asks for no password/ }],
  ['', {}, ['auth_type = trust', 'listen_addr = 0.0.0.0'], { wrong: /auth_type in line 1 lets everyone in/ }],
  ['', { PGHERD_PROXY_AUTH_FILE: 'e' }, ['auth_file = u'], { authFile: 'e' }],
  [
    '',
    {},
    ['auth_file = u', 'client_tls_cert_file = c', 'client_tls_key_file = k'],
    { tlsCert: 'c', tlsKey: 'k', isTlsRequired: false },
  ],
  [
    '',
    {},
    ['auth_file = u', 'client_tls_cert_file = c', 'client_tls_key_file = k', 'client_tls_sslmode = disable'],
    { tlsCert: null, tlsKey: null },
  ],
  [
    '--tls-required',
    {},
    ['auth_file = u', 'client_tls_cert_file = c', 'client_tls_key_file = k'],
    { isTlsRequired: true },
  ],
  [
    '',
    {},
    ['auth_file = u', 'client_tls_sslmode = require'],
    { wrong: /client_tls_sslmode in line 2 needs --tls-cert/ },
  ],
  ['', {}, ['auth_file = u', 'query_wait_timeout = 0.5', 'drain_timeout = 2'], { drainMillis: 2000 }],
  ['--trust', {}, ['max_lag = infinity'], { maxLagMillis: Infinity }],
  ['--trust', { PGHERD_PROXY_URL: URL }, ['url = postgres://b/other'], { url: URL }],
]

describe('the arguments of pgherd proxy', () => {
  for (const [line, wanted] of RIGHT) {
    it(`pgherd proxy ${line}`, () => {
      const found = wantedOf(line)
      assert.deepEqual({ ...found, ...wanted }, found)
    })
  }
  for (const [line, pattern] of WRONG) {
    it(`pgherd proxy ${line}: wrong`, () => assert.throws(() => wantedOf(line), { message: pattern }))
  }
  for (const [line, variables, lines, wanted] of LAYERS) {
    it(`pgherd proxy ${line}, ${JSON.stringify(variables)}, ${lines.join('; ')}`, () => {
      if ('wrong' in wanted) {
        assert.throws(() => wantedOf(line, variables, ...lines), { message: wanted.wrong as RegExp })
        return
      }
      const found = wantedOf(line, variables, ...lines)
      assert.deepEqual({ ...found, ...wanted }, found)
    })
  }
  it('says of each value where it is from', () => {
    const found = settled('--trust --drain 5', { PGHERD_PROXY_MAX_LAG: '7' }, 'pool_mode = session')
    const sources = [found.drain_timeout, found.max_lag, found.pool_mode, found.url].map(({ source }) => source)
    assert.deepEqual(sources, ['flag', 'environment', 'file', 'default'])
  })
  it('pgherd proxy --help, and help proxy', () => {
    assert.deepEqual(commandOf(['proxy', '--help']), { kind: 'help', of: 'proxy' })
    assert.deepEqual(commandOf(['help', 'proxy']), { kind: 'help', of: 'proxy' })
  })
})
