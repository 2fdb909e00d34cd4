// The configuration file of `pgherd proxy`: its lines, its keys, what may change while the proxy runs, and that the document has them all.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { helpOf } from '../../src/cli/help.js'
import { entriesIn } from '../../src/cli/ini.js'
import { wantedBy } from '../../src/cli/proxy-args.js'
import { groundOf, regrounded } from '../../src/cli/proxy-ground.js'
import { environmentLayer, fileLayer, KEYS, resettle, SETTINGS, settle } from '../../src/cli/proxy-settings.js'
import { DEFAULTS } from '../../src/proxy/options.js'

const LINES: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  ['', []],
  ['[pgherd]\n; a comment\n# another\n\n  pool_mode=session  ', [['pool_mode', 'session']]],
  ['[pgbouncer]\r\nauth_file = /etc/users.txt\r\n', [['auth_file', '/etc/users.txt']]],
  ['auth_query = select a, b from c where d = $1 ; and e', [['auth_query', 'select a, b from c where d = $1 ; and e']]],
  ['\uFEFFurl = postgres://a/b?sslmode=require', [['url', 'postgres://a/b?sslmode=require']]],
  ['auth_file =', [['auth_file', '']]],
]

const WRONG: readonly (readonly [string, RegExp])[] = [
  ['pool_mode', /^line 1 is not key = value$/],
  ['\n= session', /^line 2 is not/],
  ['postgres://app:secret@a/b', /^line 1 is not key = value$/],
  ['[databases]', /^line 1: there is no section \[databases\]: servers are named by url/],
  ['pool_mode = session\npool_mode = session', /^line 2: pool_mode is in line 1 already$/],
  ['\npool_mod = session', /^line 2: there is no key pool_mod: did you mean pool_mode\?$/],
  ['maxClientConn = 5', /did you mean max_client_conn\?$/],
  ['logfile = x', /PgBouncer has it, the proxy does not. Leave it out$/],
  ['server_tls_ca_file = x', /TLS to the servers is told in url/],
  ['colour = red', /^line 1: there is no key colour$/],
  ['pool_mode = Session', /^pool_mode in line 1 must be transaction, session or statement$/],
  ['auth_type = md5', /must be scram-sha-256 or trust$/],
  ['default_pool_size = 0', /must be a whole number of at least 1$/],
  ['max_packet_size = 2147483647', /must be a whole number of at most/],
  ['listen_port = 70000', /must be a port/],
  ['client_login_timeout = 0', /must be a number of seconds from 1/],
  ['server_lifetime = 1h', /must be a number of seconds/],
  ['max_lag = 1s', /must be a number of milliseconds, or infinity$/],
  ['metrics = 9127', /must be an address and a port/],
  ['url = db-a', /^url in line 1 must be a URL/],
]

describe('the configuration file of pgherd proxy', () => {
  for (const [text, pairs] of LINES) {
    it(JSON.stringify(text), () =>
      assert.deepEqual(
        entriesIn(text).map(({ key, value }) => [key, value]),
        pairs
      )
    )
  }
  for (const [text, message] of WRONG) {
    it(`${JSON.stringify(text)}: wrong`, () => assert.throws(() => fileLayer(text), { message }))
  }
  it('no message repeats what a URL holds', () => {
    for (const text of ['url = app:secret@a', 'url = postgres://app:secret@a/b\nurl = x', 'app:secret@a']) {
      assert.throws(
        () => fileLayer(text),
        (error: Error) => !error.message.includes('secret')
      )
    }
  })
  it('variables of others are left alone, those that look like a key are refused', () => {
    const others = {
      PGHERD_PROXY_SERVICE_HOST: '10.0.0.1',
      PGHERD_PROXY_PORT: 'tcp://10.0.0.1:6432',
      PGHERD_PROXY_CONFIG: 'f',
    }
    assert.equal(environmentLayer(others).size, 0)
    const message = 'PGHERD_PROXY_POOL_MOD is not known: did you mean PGHERD_PROXY_POOL_MODE?'
    assert.throws(() => environmentLayer({ PGHERD_PROXY_POOL_MOD: 'session' }), { message })
  })
  it('what cannot change while the proxy runs stays, and is named', () => {
    const before = settle([fileLayer('url = postgres://a/b\nlisten_port = 1\npool_mode = session')])
    const fresh = settle([fileLayer('url = postgres://a/b\nlisten_port = 2\npool_mode = statement')])
    const { settled, stays } = resettle(before, fresh)
    assert.deepEqual(stays, ['listen_port'])
    assert.equal(settled.listen_port.text, '1')
    assert.equal(settled.pool_mode.text, 'statement')
  })
  it('a variable may name the file; a flag goes before it', () => {
    const directory = mkdtempSync(join(tmpdir(), 'pgherd-settings-'))
    try {
      const [one, other, users] = ['one.ini', 'other.ini', 'users.txt'].map((name) => join(directory, name))
      writeFileSync(String(users), '"app" "tea"\n')
      writeFileSync(String(one), `auth_file = ${users}\npool_mode = session`)
      writeFileSync(String(other), `auth_file = ${users}\npool_mode = statement`)
      const words = { kind: 'proxy', flags: new Map(), config: null, demo: false } as const
      const environment = { PGHERD_PROXY_CONFIG: String(one) }
      const ground = groundOf(words, environment)
      assert.equal(ground.settled.pool_mode.text, 'session')
      assert.equal(groundOf({ ...words, config: String(other) }, environment).settled.pool_mode.text, 'statement')
      writeFileSync(String(one), `auth_file = ${users}\npool_mode = session\nworkers = 2`)
      const { ground: again, warnings } = regrounded(ground, words, environment)
      assert.equal(again.settled.workers.text, '1')
      assert.match(warnings.join(), /^workers cannot change while the proxy runs/)
      writeFileSync(String(users), 'app tea\n')
      assert.throws(
        () => regrounded(ground, words, environment),
        ({ message }: Error) => /users\.txt: line 1 of the userlist/.test(message) && !message.includes('tea')
      )
      rmSync(String(one))
      assert.throws(() => regrounded(ground, words, environment), /one\.ini cannot be read: ENOENT/)
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
  it('the defaults are those of the proxy', () => {
    const { options } = wantedBy(settle([fileLayer('auth_file = u')]))
    assert.deepEqual(options, DEFAULTS)
  })
})

describe('the settings in docs/proxy.md', () => {
  const text = readFileSync(fileURLToPath(new URL('../../../docs/proxy.md', import.meta.url)), 'utf8')
  const rows = new Map(
    [...text.matchAll(/^\| `(\w+)` \|([^|]*)\|([^|]*)\| (yes|no) \|/gm)].map(([, key = '', ...cells]) => [
      key,
      cells.map((cell) => cell.replaceAll('`', '').trim()),
    ])
  )
  for (const key of KEYS) {
    const { flag, initial, changes } = SETTINGS[key]
    it(`has ${key} with its flag, its default, and whether it may change`, () => {
      const [flags = '', shown, may] = rows.get(key) ?? []
      if (flag !== null) assert.equal(flags, `--${flag}`)
      assert.equal(shown, initial)
      assert.equal(may, changes ? 'yes' : 'no')
    })
    if (flag !== null) it(`the help has --${flag}`, () => assert.ok(helpOf('proxy').includes(`--${flag}`)))
  }
  it('has no other key', () => assert.deepEqual([...rows.keys()].sort(), [...KEYS].sort()))
})
