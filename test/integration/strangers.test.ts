// Servers that are not what they seem: each fails its own connection, and the rest of the herd goes on.

import assert from 'node:assert/strict'
import { createServer, type Server, type Socket } from 'node:net'
import pg from 'pg'
import { createPool, replication } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { authenticated, message, ready } from '../support/messages.js'
import { endPools, eventually, keyOf, poolOn, tracked } from '../support/pools.js'

const int32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
const auth = (number: number, more = '') => message('R', Buffer.concat([int32(number), Buffer.from(more)]))

/** Answers the first packet of each client with these bytes. */
class Stranger {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** What came behind the first packet. */
  readonly heard: Buffer[] = []

  private constructor(greeting: Uint8Array, answer: Uint8Array) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.once('data', () => {
        socket.write(greeting)
        socket.on('data', (bytes) => {
          this.heard.push(bytes)
          socket.write(answer)
        })
      })
    })
  }

  static async start(greeting: Uint8Array, answer: Uint8Array = Buffer.alloc(0)): Promise<Stranger> {
    const stranger = new Stranger(greeting, answer)
    await new Promise<void>((resolve) => stranger.#server.listen(0, '127.0.0.1', resolve))
    return stranger
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

describe('servers that are not what they seem', () => {
  let cluster: Cluster
  const strangers: Stranger[] = []
  const strange = async (...bytes: [Uint8Array, Uint8Array?]) => {
    const stranger = await Stranger.start(...bytes)
    strangers.push(stranger)
    return stranger
  }

  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
  })
  afterEach(async () => {
    await endPools()
    await Promise.all(strangers.splice(0).map((stranger) => stranger.close()))
  })
  after(() => cluster?.destroy())

  const welcome = Buffer.concat([authenticated, ready])
  const CASES: readonly (readonly [what: string, greeting: Buffer, answer: Buffer, code: string, said: RegExp])[] = [
    ['an error without its zero', message('E', 'SFATAL'), Buffer.alloc(0), 'PGHERD_PROTOCOL', /an error that is not/],
    ['a notice without its zero', message('N', 'SWARNING'), Buffer.alloc(0), 'PGHERD_PROTOCOL', /a notice that is not/],
    [
      'a claim of two gigabytes',
      Buffer.concat([Buffer.from('S'), int32(2 ** 31 - 1)]),
      Buffer.alloc(0),
      'PGHERD_PROTOCOL',
      /2147483647 bytes/,
    ],
    ['GSSAPI', auth(7), Buffer.alloc(0), 'PGHERD_AUTH', /GSS authentication, which the pg driver does not have/],
    ['SSPI', auth(9), Buffer.alloc(0), 'PGHERD_AUTH', /SSPI/],
    ['Kerberos', auth(2), Buffer.alloc(0), 'PGHERD_AUTH', /authentication of kind 2/],
    ['a kind of the future', auth(99), Buffer.alloc(0), 'PGHERD_AUTH', /authentication of kind 99/],
    [
      'COPY in answer to a probe',
      welcome,
      message('G', Buffer.from([0, 0, 0])),
      'PGHERD_PROTOCOL',
      /COPY FROM STDIN in answer/,
    ],
    ['COPY data in answer to a probe', welcome, message('d', 'x'), 'PGHERD_PROTOCOL', /COPY data in answer/],
    [
      'a suspended portal in answer to a probe',
      welcome,
      message('s'),
      'PGHERD_PROTOCOL',
      /a suspended portal in answer/,
    ],
    [
      'a version before 12',
      Buffer.concat([authenticated, message('S', 'server_version\x0011.22\0'), ready]),
      Buffer.alloc(0),
      'PGHERD_VERSION',
      /the server is PostgreSQL 11\.22, and pgherd needs 12 or newer: upgrade it, or take it out of the hosts\./,
    ],
    ['a second login', welcome, auth(3), 'PGHERD_PROTOCOL', /behind the login/],
    [
      'an answer without rows',
      welcome,
      // To the two questions of a first look.
      Buffer.concat([message('C', 'SELECT 0\0'), ready, message('C', 'SELECT 0\0'), ready]),
      'PGHERD_PROTOCOL',
      /usable value of a row/,
    ],
  ]
  for (const [what, greeting, answer, code, said] of CASES) {
    it(`${what}: the node is refused by name and reason, reads and writes go on`, async () => {
      const { port } = await strange(greeting, answer)
      const { host: honest, port: own, ...role } = cluster.config(0)
      const pool = tracked({ ...role, host: [honest ?? '', '127.0.0.1'], port: [own ?? 0, port] })
      const key = `127.0.0.1:${port}`
      const node = () => pool.topology().nodes.find((each) => each.key === key)
      await pool.query('select 1')
      await eventually('it is refused', () => node()?.failureCode === code)
      assert.match(node()?.failure ?? '', said)
      assert.equal((await pool.query('select 2 as n')).rows[0].n, 2)
      assert.notEqual(node()?.state, 'primary')
    })

    // Behind a login the statement is the application's own, and its answer is as good as its server.
    if (greeting === welcome || code === 'PGHERD_VERSION') continue
    it(`${what}: alone it is an error of the statement`, async () => {
      const { port } = await strange(greeting, answer)
      const { user, password, database } = cluster.config(0)
      const pool = tracked({
        user,
        password,
        database,
        host: '127.0.0.1',
        port,
        connectionTimeoutMillis: 2000,
      } as object)
      await assert.rejects(pool.query('select 1'), { code, message: said, outcome: 'not-sent' })
    })
  }

  it('a version before 12, alone: ready() says so', async () => {
    const { port } = await strange(Buffer.concat([authenticated, message('S', 'server_version\x009.6.24\0'), ready]))
    const pool = tracked({ user: 'u', database: 'd', host: '127.0.0.1', port })
    await assert.rejects(pool.ready(), { code: 'PGHERD_VERSION', outcome: 'not-sent' })
  })

  it('a login that pg cannot do at one server ends no wait for another that is restarted', async () => {
    const { port } = await strange(auth(7))
    const { host: honest, port: own, ...role } = cluster.config(0)
    const pool = tracked({ ...role, host: [honest ?? '', '127.0.0.1'], port: [own ?? 0, port] })
    const node = () => pool.topology().nodes.find((each) => each.key === `127.0.0.1:${port}`)
    await pool.query('select 1')
    await eventually('it is refused', () => node()?.failureCode === 'PGHERD_AUTH')
    await cluster.stop(0, 'fast')
    try {
      const waiting = pool.query('select 2 as n')
      await eventually('the primary is down', () => pool.topology().nodes.some(({ state }) => state === 'down'))
      await cluster.start(0)
      assert.equal((await waiting).rows[0].n, 2)
    } finally {
      await cluster.start(0).catch(() => {})
    }
  })

  it('requireAuth: a server that asks for less is refused, before anything is sent', async () => {
    for (const [greeting, requireAuth, ok] of [
      [auth(3), 'scram-sha-256', false],
      [auth(5, 'salt'), '!md5,!password', false],
      [welcome, '!none', false],
      [auth(3), 'password', true],
    ] as const) {
      const stranger = await strange(greeting)
      const pool = tracked({
        user: 'u',
        password: 'secret',
        database: 'd',
        host: '127.0.0.1',
        port: stranger.port,
        requireAuth,
        connectionTimeoutMillis: 300,
      } as object)
      const failed = await pool.query('select 1').catch((error: Error & { code?: string }) => error)
      const wasSent = Buffer.concat(stranger.heard).includes('secret')
      assert.equal(wasSent, ok, requireAuth)
      if (!ok)
        assert.deepEqual(
          [(failed as { code?: string }).code, (failed as { outcome?: string }).outcome],
          ['PGHERD_WEAK_AUTH', 'not-sent']
        )
    }
    const honest = poolOn(cluster, { requireAuth: 'none' } as object)
    assert.equal((await honest.query('select 1 as n')).rows[0].n, 1)
  })

  it('a discovered server that asks for a readable password gets none', async () => {
    for (const greeting of [auth(3), auth(5, 'salt')]) {
      const stranger = await strange(greeting)
      const { host, port, ...role } = cluster.config(0, 'monitor')
      const address = () => ({ host: '127.0.0.1', port: stranger.port })
      const pool = tracked({
        ...role,
        password: 'secret',
        host: host ?? '',
        port: port ?? 0,
        discovery: replication({ address }),
      } as object)
      await pool.query('select 1')
      const key = `127.0.0.1:${stranger.port}`
      await eventually('it is refused', () =>
        pool.topology().nodes.some((node) => node.key === key && node.failureCode === 'PGHERD_WEAK_AUTH')
      )
      assert.deepEqual(stranger.heard, [])
    }
  })

  it("with a client that pgherd cannot check (libpq's binding), found servers are listed and not used, and told once", async () => {
    const warnings: string[] = []
    const heard = (warning: Error & { code?: string }) => warnings.push(warning.code ?? '')
    process.on('warning', heard)
    const construct = (target: typeof pg.Client, args: [object]) => withoutConnection(Reflect.construct(target, args))
    const copy = { ...pg, Client: new Proxy(pg.Client, { construct }) }
    try {
      const PoolClass = createPool(copy as unknown as Parameters<typeof createPool>[0])
      const { host, port, ...role } = cluster.config(0, 'monitor')
      assert.throws(() => new PoolClass({ ...role, host: host ?? '', port: port ?? 0, requireAuth: 'md5' } as object), {
        code: 'PGHERD_CONFIG',
        message: /requireAuth needs pg's own client/,
      })
      const { host: replicaHost, port: replicaPort } = cluster.node(1)
      const address = () => ({ host: replicaHost, port: replicaPort })
      const pool = new PoolClass({
        ...role,
        host: host ?? '',
        port: port ?? 0,
        discovery: replication({ address }),
      } as object)
      pool.health()
      await eventually('it is listed', () => pool.topology().nodes.some(({ key }) => key === keyOf(cluster, 1)))
      assert.equal(pool.topology().nodes.find(({ key }) => key === keyOf(cluster, 1))?.origin, 'shown')
      await eventually('it is told', () => warnings.includes('PGHERD_NATIVE'))
      await pool.end()
    } finally {
      process.off('warning', heard)
    }
  })
})

/** What `client?.connection` sees of libpq's binding. */
function withoutConnection(client: object): object {
  return new Proxy(client, {
    get: (target, name) => (name === 'connection' ? undefined : Reflect.get(target, name, target)),
  })
}
