import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { type Config, resolveConfig } from '../src/config/config.js'
import { clientConfigFor } from '../src/config/dial.js'
import type { Environment } from '../src/config/hosts.js'
import type { NodeAddress } from '../src/core/cluster/address.js'
import { dns } from '../src/discovery/dns.js'
import { patroni } from '../src/discovery/patroni.js'
import { replication } from '../src/discovery/replication.js'
import { PgherdError } from '../src/errors.js'

const defaults = { host: 'localhost', port: 5432, ssl: false }
const resolve = (options: object, environment: Environment = {}): Config =>
  resolveConfig(options, environment, defaults)
const seeds = (options: object, environment: Environment = {}): string[] =>
  resolve(options, environment).seeds.map(({ host, port }) => `${host}:${port}`)

function refused(options: object, pattern: RegExp, environment: Environment = {}): void {
  assert.throws(
    () => resolve(options, environment),
    (error: unknown) => {
      assert.ok(error instanceof PgherdError, String(error))
      assert.equal(error.code, 'PGHERD_CONFIG')
      assert.match(error.message, pattern)
      return true
    }
  )
}

describe('config: hosts', () => {
  const cases: readonly (readonly [string, object, readonly string[], Environment?])[] = [
    ['nothing at all', {}, ['localhost:5432']],
    ['one host', { host: 'db', port: 6000 }, ['db:6000']],
    ['a list', { host: 'a,b', port: 6000 }, ['a:6000', 'b:6000']],
    ['a list with ports', { host: 'a,b', port: '6000,6001' }, ['a:6000', 'b:6001']],
    ['arrays', { host: ['a', 'b'], port: [6000, 6001] }, ['a:6000', 'b:6001']],
    ['a single URL', { connectionString: 'postgres://db:6000/shop' }, ['db:6000']],
    [
      'a URL beats host and port beside it',
      { connectionString: 'postgres://db/shop', host: 'x', port: 1 },
      ['db:5432'],
    ],
    [
      'a URL of several hosts',
      { connectionString: 'postgres://app:pw@a,b:5433,c/shop?x=1' },
      ['a:5432', 'b:5433', 'c:5432'],
    ],
    [
      'several IPv6 hosts',
      { connectionString: 'postgresql://[::1]:6000,[fe80::2]/shop' },
      ['::1:6000', 'fe80::2:5432'],
    ],
    ['libpq form of the URL', { connectionString: 'postgres:///shop?host=a,b&port=6000,6001' }, ['a:6000', 'b:6001']],
    ['a Unix socket', { host: '/run/postgresql' }, ['/run/postgresql:5432']],
    ['IPv6 addresses in a list', { host: '::1,fe80::2', port: 6000 }, ['::1:6000', 'fe80::2:6000']],
    ['one host with a port in its name, as in pg', { host: 'a:6000' }, ['a:6000:5432']],
    ['the same host twice', { host: 'a,a,b' }, ['a:5432', 'b:5432']],
    ['PGHOST and PGPORT', {}, ['a:6000', 'b:6001'], { PGHOST: 'a,b', PGPORT: '6000,6001' }],
    ['options beat the environment', { host: 'c' }, ['c:6000'], { PGHOST: 'a,b', PGPORT: '6000' }],
    ['a URL without a host takes PGHOST', { connectionString: 'postgres:///shop' }, ['a:5432'], { PGHOST: 'a' }],
  ]
  for (const [what, options, expected, environment] of cases) {
    it(what, () => assert.deepEqual(seeds(options, environment), expected))
  }

  const placed: readonly (readonly [string, object, readonly string[], Environment?])[] = [
    ['nothing said', { host: 'a,b' }, ['a:5432', 'b:5432']],
    ['arrays', { host: ['a', 'b'], weights: [2, 0.5], zones: ['x', 'y'] }, ['a:5432 2 x', 'b:5432 0.5 y']],
    ['comma lists', { host: 'a,b', weights: '2, 0', zones: 'x, y' }, ['a:5432 2 x', 'b:5432 0 y']],
    ['one for all', { host: 'a,b', weights: 3, zones: 'x' }, ['a:5432 3 x', 'b:5432 3 x']],
    ['a zone that is not known', { host: 'a,b,c', zones: 'x,,x' }, ['a:5432 x', 'b:5432', 'c:5432 x']],
    ['a URL', { connectionString: 'postgres://a,b:1/d?weights=2,1&zones=x,y%20z' }, ['a:5432 2 x', 'b:1 1 y z']],
    ['a URL of one host', { connectionString: 'postgres://a/d?weights=2&zones=x' }, ['a:5432 2 x']],
    ["libpq's form of the URL", { connectionString: 'postgres:///d?host=a,b&zones=x,y' }, ['a:5432 x', 'b:5432 y']],
    ['beside a URL', { connectionString: 'postgres://a,b/d', weights: [2, 1] }, ['a:5432 2', 'b:5432 1']],
    ['beside PGHOST', { zones: ['x', 'y'] }, ['a:5432 x', 'b:5432 y'], { PGHOST: 'a,b' }],
  ]
  for (const [what, options, expected, environment] of placed) {
    it(`weights and zones: ${what}`, () => {
      const found = resolve(options, environment).seeds
      const text = ({ host, port, weight, zone }: (typeof found)[number]) =>
        [`${host}:${port}`, weight, zone].filter((part) => part !== undefined).join(' ')
      assert.deepEqual(found.map(text), expected)
    })
  }
  it('the zone of this process: the URL, the option, PGHERD_ZONE', () => {
    const environment = { PGHERD_ZONE: 'c' }
    const url = 'postgres://h/d?zone=a'
    assert.equal(resolve({ connectionString: url, zone: 'b' }, environment).zone, 'a')
    assert.equal(resolve({ zone: ' b ' }, environment).zone, 'b')
    assert.equal(resolve({}, environment).zone, 'c')
    assert.equal(resolve({}, { PGHERD_ZONE: '' }).zone, null)
  })

  const odd: readonly (readonly [string, object, RegExp])[] = [
    [
      'too few weights',
      { host: 'a,b,c', weights: [1, 2] },
      /weights must be one weight, or one for each of the 3 hosts; 2 were/,
    ],
    [
      'too many zones',
      { host: 'a', zones: 'x,y' },
      /zones must be one zone, or one for each of the 1 hosts; 2 were given/,
    ],
    ['no host in the array', { host: [] }, /option host is an empty array/],
    ['what is no name', { host: ['a', null] }, /option host must be a host name, or an array of host names/],
    ['no port in the array', { host: ['a', 'b'], port: [] }, /option port is an empty array/],
    ['a URL object', { connectionString: new URL('postgres://u:SECRET@a/b') }, /connectionString must be a string/],
  ]
  for (const [what, options, pattern] of odd) it(`refuses ${what}`, () => refused(options, pattern))

  const SECRET = 'postgres://user:SECRET@db/shop'
  for (const given of [SECRET, new URL(SECRET), 5, true, () => SECRET, Symbol('s')]) {
    it(`takes no ${given instanceof URL ? 'URL' : typeof given} for options, and shows nothing of it`, () => {
      assert.throws(
        () => resolveConfig(given, {}, defaults),
        (error: Error) => {
          // As with pg, a TypeError.
          assert.ok(error instanceof TypeError)
          assert.equal(Reflect.get(error, 'code'), 'PGHERD_CONFIG')
          assert.match(error.message, /an object of options: \{ connectionString/)
          assert.ok(!inspect(error).includes('SECRET'))
          return true
        }
      )
    })
  }

  it('what cannot be read of a URL shows no password either', () => {
    for (const connectionString of [
      'postgres://user:SECRET@[/x',
      'postgres://user:SECRET@a,b:x/y',
      'postgres://u:SEC%RET@a,b/c',
    ]) {
      try {
        resolve({ connectionString })
      } catch (error) {
        assert.ok(!/SECRET|SEC%RET/.test(inspect(error).replace(/ {4}at .*/g, '')), inspect(error))
      }
    }
  })

  it('looks names up, and neither addresses nor localhost nor sockets', () => {
    const found = resolve({ host: ['db.test', '10.0.0.1', '::1', 'localhost', '/run/pg'] }).seeds
    assert.deepEqual(
      found.map(({ lookup }) => lookup),
      [true, false, false, false, false]
    )
  })
  it('keeps user, password, database and parameters of a URL of several hosts', () => {
    const url = 'postgres://us%40er:p%2Fw@a,b/shop?application_name=x&statement_timeout=5'
    const { client } = resolve({ connectionString: url })
    const { user, password, database, application_name, statement_timeout } = client
    assert.deepEqual(
      [user, password, database, application_name, statement_timeout],
      ['us@er', 'p/w', 'shop', 'x', '5']
    )
  })
  it('takes from a URL the words that pg takes, and no option of the pool around it', () => {
    const words =
      'max=1&min=1&log=x&onConnect=x&verify=x&Client=x&Promise=x&stream=x&types=x&pipeline=1&keepAlive=true&binary=1'
    for (const hosts of ['a', 'a,b']) {
      const { client } = resolve({
        connectionString: `postgres://app:pw@${hosts}/shop?${words}&application_name=shop&options=-c%20x%3Dy`,
      })
      const names = Object.keys(client).filter((name) => client[name] !== undefined)
      assert.deepEqual(names.sort(), ['application_name', 'database', 'options', 'password', 'user'])
    }
    assert.equal(resolve({ connectionString: 'postgres://a/shop?max=1', max: 7 }).client.max, 7)
  })
  it('takes its own options from a URL where they are a word, a number or a boolean', () => {
    const words =
      'maxLagMillis=250&maxLagBytes=Infinity&readYourWrites=session&routeClients=false&failoverQueue=5&discovery=dns'
    for (const hosts of ['a', 'a,b']) {
      const config = resolve({
        connectionString: `postgres://${hosts}/shop?${words}`,
        maxLagMillis: 7,
        silentMillis: 900,
      })
      const {
        maxLagMillis,
        maxLagBytes,
        readYourWrites,
        routeClients,
        failoverQueue,
        replication,
        silentMillis,
        client,
      } = config
      assert.deepEqual(
        [maxLagMillis, maxLagBytes, readYourWrites, routeClients, failoverQueue, replication.use, silentMillis],
        [250, Infinity, 'session', false, 5, false, 900]
      )
      assert.deepEqual(
        Object.keys(client).filter((name) => /lag|read|route|queue|discovery/i.test(name)),
        []
      )
    }
  })
  it('keeps a password that pg has hidden in an options object', () => {
    const hidden = Object.defineProperty({ host: 'a' }, 'password', { value: 'pw', enumerable: false })
    assert.equal(resolve(hidden).client.password, 'pw')
  })
})

describe('config: what a node is dialed with', () => {
  const node: NodeAddress = { host: '10.0.0.1', port: 6000, servername: 'db-a', origin: 'configured' }
  const dial = (options: object, address = node, environment: Environment = {}) =>
    clientConfigFor(resolve(options, environment), address)

  it('one host, one port, no connectionString, none of our own options', () => {
    const options = { connectionString: 'postgres://app:pw@a,b/shop', maxLagMillis: 5, max: 3, query_timeout: 7 }
    const { host, port, connectionString, maxLagMillis, max, query_timeout, user } = dial(options)
    assert.deepEqual(
      [host, port, connectionString, maxLagMillis, max, query_timeout, user],
      ['10.0.0.1', 6000, undefined, undefined, 3, 7, 'app']
    )
  })
  const tls: readonly (readonly [string, object, unknown, Environment?])[] = [
    ['no TLS', {}, false],
    ['true', { ssl: true }, { servername: 'db-a' }],
    ['an object', { ssl: { ca: 'CA' } }, { servername: 'db-a', ca: 'CA' }],
    ['as with pg, the name that was dialed beats one in `ssl`', { ssl: { servername: 'x' } }, { servername: 'db-a' }],
    ['no-verify', { ssl: 'no-verify' }, { servername: 'db-a', rejectUnauthorized: false }],
    [
      'sslmode in the URL',
      { connectionString: 'postgres://a,b/x?sslmode=no-verify', ssl: true },
      { servername: 'db-a', rejectUnauthorized: false },
    ],
    ['PGSSLMODE', {}, { servername: 'db-a' }, { PGSSLMODE: 'verify-full' }],
    ['an option beats PGSSLMODE', { ssl: false }, false, { PGSSLMODE: 'verify-full' }],
  ]
  for (const [what, options, expected, environment] of tls) {
    it(`TLS: ${what}`, () => assert.deepEqual(dial(options, node, environment).ssl, expected))
  }
  it('TLS: an address the user gave is checked as an address', () => {
    assert.equal(dial({ ssl: true }, { ...node, servername: null }).ssl, true)
  })
  it('TLS: a private key that pg has hidden in the object is kept', () => {
    const ssl = Object.defineProperty({ cert: 'C' }, 'key', { value: 'K', enumerable: false })
    assert.deepEqual(dial({ ssl }).ssl, { servername: 'db-a', cert: 'C', key: 'K' })
  })
})

describe('config: target_session_attrs', () => {
  const words: readonly (readonly [string, string])[] = [
    ['any', 'any'],
    ['prefer-standby', 'any'],
    ['primary', 'primary'],
    ['read-write', 'primary'],
    ['standby', 'standby'],
    ['read-only', 'standby'],
  ]
  for (const [word, meaning] of words) {
    it(`${word} in the URL, the option and the environment`, () => {
      const url = `postgres://a,b/x?target_session_attrs=${word}`
      assert.equal(resolve({ connectionString: url }).attributes, meaning)
      assert.equal(resolve({ targetSessionAttrs: word }).attributes, meaning)
      assert.equal(resolve({}, { PGTARGETSESSIONATTRS: word }).attributes, meaning)
    })
  }
  it('refuses another word', () =>
    refused({ targetSessionAttrs: 'master' }, /targetSessionAttrs must be 'any', .*not 'master'/))
  it('refuses another word in the URL', () =>
    refused({ connectionString: 'postgres://a/x?target_session_attrs=rw' }, /not 'rw'/))
})

describe('config: discovery by replication', () => {
  it('is used for a single host, and only shown beside several', () => {
    assert.equal(resolve({ host: 'a' }).replication.use, true)
    assert.equal(resolve({ host: 'a,b' }).replication.use, false)
  })
  it('is used where it is named, and not where only dns is', () => {
    assert.equal(resolve({ host: 'a,b', discovery: 'replication' }).replication.use, true)
    assert.equal(resolve({ host: 'a,b', discovery: replication() }).replication.use, true)
    assert.equal(resolve({ host: 'a', discovery: 'dns' }).replication.use, false)
    assert.equal(resolve({ host: 'a', discovery: dns() }).replication.use, false)
  })
  it('by Patroni, and not by replication', () => {
    const { patroni: members, replication: found } = resolve({ host: 'a', discovery: patroni({ fromHosts: true }) })
    assert.deepEqual([members?.fromHosts, found.use], [true, false])
    assert.equal(resolve({ host: 'a' }).patroni, null)
  })
  it('by names as the application says', () => {
    const settings = {
      servers: ['10.0.0.2', '10.0.0.2:53', '::1', '[::1]:5353'],
      srv: '_pg._tcp',
      intervalMillis: 1000,
    }
    assert.deepEqual(resolve({ host: 'a', discovery: dns(settings) }).dns, settings)
    assert.deepEqual(resolve({ host: 'a' }).dns, {})
  })
})

describe('config: names are read as SQL has them', () => {
  const rows: readonly (readonly [given: string, name: string])[] = [
    ['touch', 'touch'],
    ['Touch', 'touch'],
    ['"Touch"', 'Touch'],
    ['app.touch', 'touch'],
    ['"A.b"."T""x"', 'T"x'],
    [' "with blank" ', 'with blank'],
    ['ÄRGER', 'Ärger'], // only ASCII folds
  ]
  for (const [given, name] of rows) {
    it(given, () => assert.deepEqual(resolve({ primaryFunctions: [given] }).names.primaryFunctions, [name]))
  }
})

describe('config: bad values are refused, with the name and what is allowed', () => {
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ maxLagMillis: -1 }, /maxLagMillis must be a number of milliseconds of at least 0, or Infinity, not -1/],
    [{ maxLagMillis: '1000' }, /maxLagMillis .* not '1000'/],
    [{ maxLagMillis: Number.NaN }, /maxLagMillis/],
    [{ maxLagBytes: -5 }, /maxLagBytes/],
    [{ readYourWrites: 'sessions' }, /readYourWrites must be 'pool' or 'session' or 'off', not 'sessions'/],
    [{ whenStale: 'wait' }, /whenStale must be 'primary' or 'error'/],
    [{ routing: 'off' }, /routing must be 'on' or 'observe'/],
    [{ weights: -1 }, /weights must be a number of at least 0 for all hosts, or one for each.*, not -1/],
    [{ weights: '2,x' }, /weights .* not '2,x'/],
    [{ weights: [1, Infinity] }, /weights/],
    [{ weights: [] }, /weights/],
    [{ weights: '1,,2' }, /weights/],
    [{ zones: 5 }, /zones must be a zone for all hosts, or one for each: a comma list or an array of texts, not 5/],
    [{ zones: ['x', null] }, /zones/],
    [{ zone: ' ' }, /zone must be the name of one zone, without a comma .*, not ' '/],
    [{ zone: 'x,y' }, /zone must be .*\(those of the hosts stand in zones\), not 'x,y'/],
    [{ balance: 'random' }, /balance must be 'leastInFlight' or a function/],
    [{ balance: 'toString' }, /balance/],
    [{ monitorIntervalMillis: 0 }, /monitorIntervalMillis .* at least 10/],
    [{ silentMillis: 1 }, /silentMillis .* at least 50/],
    [{ failoverQueue: 1.5 }, /failoverQueue must be a whole number/],
    [{ strictAsyncCommit: 'yes' }, /strictAsyncCommit must be true or false/],
    [{ onDiscover: true }, /onDiscover must be a function/],
    [
      { discovery: 'consul' },
      /discovery must be 'dns', 'replication', replication\(.*\), dns\(.*\) or patroni\(.*\), not 'consul'/,
    ],
    [{ discovery: {} }, /discovery .* not an object/],
    [{ discovery: patroni({}) }, /discovery .* not an object/],
    [{ discovery: patroni({ urls: [] }) }, /discovery/],
    [{ discovery: patroni({ urls: ['db-a:8008'] }) }, /discovery/],
    [{ discovery: patroni({ fromHosts: true, port: 0 }) }, /discovery/],
    [{ discovery: dns({ servers: [] }) }, /discovery .* not an object/],
    [{ discovery: dns({ servers: ['ns.test'] }) }, /discovery/],
    [{ discovery: dns({ servers: ['10.0.0.2:70000'] }) }, /discovery/],
    [{ discovery: dns({ srv: '' }) }, /discovery/],
    [{ discovery: dns({ srv: '_pg..x' }) }, /discovery/],
    [{ discovery: dns({ intervalMillis: 999 }) }, /discovery/],
    [{ discovery: dns({ intervalMillis: Number.NaN }) }, /discovery/],
    [{ host: '10.0.0.1,localhost', discovery: dns({ srv: true }) }, /dns\(\{ srv \}\) needs the name of a service/],
    [{ primaryFunctions: 'touch' }, /primaryFunctions must be an array of names as SQL has them, .* not 'touch'/],
    [{ primaryRelations: ['a b'] }, /primaryRelations must be an array of names/],
    [{ replicaSafeFunctions: ['f()'] }, /replicaSafeFunctions must be an array of names/],
    [{ primaryFunctions: [''] }, /primaryFunctions/],
    [{ primaryFunctions: [7] }, /primaryFunctions/],
    [
      { primaryFunctions: ['app.f'], replicaSafeFunctions: ['F'] },
      /primaryFunctions and replicaSafeFunctions both list 'f'/,
    ],
    [{ host: 'a,b,c', port: '1,2' }, /option port must be one port, or one for each of the 3 hosts; 2 were given/],
    [{ host: 'db-a:5432,db-b:5433' }, /a host in option host, or in PGHOST, has a port behind it/],
    [{ host: ['db-a', 'db-b:5433'], port: 5432 }, /has a port behind it: ports stand in option port/],
    [{ connectionString: 'db-a,db-b' }, /connectionString lists hosts and is no URL: write it as postgres:/],
    [{ connectionString: 'host=db-a,db-b dbname=shop' }, /connectionString lists hosts and is no URL/],
    [{ host: 'a', port: 'x' }, /port must be a number from 0 to 65535, not 'x'/],
    [{ connectionString: 'postgres://a:x,b/db' }, /connectionString names a host that cannot be read, number 1/],
    [{ connectionString: 'postgres://a,b%zz/db' }, /connectionString names a host that cannot be read, number 2/],
    [{ connectionString: 'postgres://a/db?maxLagMillis=soon' }, /option maxLagMillis must be .* not 'soon'/],
    [{ connectionString: 'postgres://a/db?routeClients=1' }, /option routeClients must be true or false/],
    [{ connectionString: 'postgres://a/db?onDiscover=x' }, /option onDiscover cannot stand in connectionString/],
    [
      { connectionString: 'postgres://a/db?primaryFunctions=f' },
      /option primaryFunctions cannot stand in connectionString/,
    ],
  ]
  for (const [options, pattern] of cases) {
    it(
      Object.entries(options)
        .map(([name, value]) => `${name}: ${String(value)}`)
        .join(', '),
      () => refused(options, pattern)
    )
  }
  it('never shows a password, nor takes a part of it for a host', () => {
    const urls = [
      'postgres://app:secret-word@a:x,b/db',
      'postgres://app:secret,word/x@a,b/db',
      'postgres://app:5432,secret/rest@db-a,db-b/shop',
      'postgres://app:a@b,secret/rest@db-a,db-b/shop',
      'postgres://app:1,secret?x=secret@db-a,db-b/shop',
      'postgres://app:1,secret#secret@db-a,db-b/shop',
      'postgres://app:5432,secret/rest@db/shop',
      'postgres://app:secret,/shop',
      'postgres://app:secret%zz,b/shop',
    ]
    for (const connectionString of urls) {
      assert.throws(
        () => resolve({ connectionString }),
        (error: Error & { code?: unknown }) => error.code === 'PGHERD_CONFIG' && !/secret/.test(`${error.stack}`)
      )
    }
  })
})
