// Logins to a server fail, each in another way, while sessions of the pool with it are answered all the time: nothing is given up,
// and statements run as with pg.Pool.

import assert from 'node:assert/strict'
import type { Client } from 'pg'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, tracked } from '../support/pools.js'
import { type LinkView, Relay } from '../support/relay.js'

const SILENT_MILLIS = 300
const WRITE = 'insert into items values (1)'

interface Stage {
  readonly cluster: Cluster
  /** A superuser's session, past the relay. */
  readonly watcher: Client
  readonly relay: Relay
  /** Links that were made since the logins began to fail. */
  isNew: (link: LinkView) => boolean
  isProbe: (link: LinkView) => boolean
  /** What the password function does. */
  password: () => unknown
}

/** How logins begin to fail; gives what makes them work again. */
const WAYS: Readonly<Record<string, (stage: Stage) => Promise<() => unknown>>> = {
  'the password function rejects': async (stage) => {
    stage.password = () => Promise.reject(new Error('the directory says no'))
    return () => {}
  },
  'the password function meets ECONNREFUSED of its own': async (stage) => {
    stage.password = () => Promise.reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }))
    return () => {}
  },
  'the password function never answers': async (stage) => {
    stage.password = () => new Promise(() => {})
    return () => {}
  },
  'the password is wrong': async (stage) => {
    stage.password = () => 'wrong'
    return () => {}
  },
  'the role may not log in any more': async ({ watcher }) => {
    await watcher.query('alter role app nologin')
    return () => watcher.query('alter role app login')
  },
  'the role has all its connections (53300)': async ({ watcher }) => {
    await watcher.query('alter role app connection limit 0')
    return () => watcher.query('alter role app connection limit -1')
  },
  'the startup is never answered': async ({ relay, isNew }) => {
    relay.impose({ on: isNew, silent: ['toServer', 'toClient'] })
    return () => relay.lift()
  },
  'the server hangs in the handshake': async ({ relay, isNew }) => {
    relay.impose({ on: (link) => isNew(link) && link.bytes.toClient > 0, silent: ['toClient'] })
    return () => relay.lift()
  },
  'the server hangs behind the authentication': async ({ relay, isNew }) => {
    relay.impose({ on: (link) => isNew(link) && link.bytes.toServer > 150, silent: ['toServer', 'toClient'] })
    return () => relay.lift()
  },
}

for (const tls of [false, true]) {
  describe(`logins that fail while sessions live${tls ? ', over TLS' : ''}`, () => {
    let cluster: Cluster
    let watcher: Client
    before(async () => {
      cluster = await startCluster({ replicas: 1, auth: 'scram-sha-256', tls })
      watcher = await cluster.connect(0, 'postgres')
      await watcher.query('create table items (id int)')
      await watcher.query('grant all on items to app')
    })
    after(() => cluster.destroy())
    afterEach(endPools)

    /** The pool's first host is node `index`, through a relay. */
    const set = async (index: number, options: PoolConfig = {}) => {
      const relay = await Relay.start(cluster.node(index))
      const other = cluster.node(1 - index)
      const stage: Stage = { cluster, watcher, relay, isNew: () => false, isProbe: () => false, password: () => 'app' }
      const { user, database, ssl, host } = cluster.config(0)
      const pool = tracked({
        user,
        database,
        ssl,
        host: [host, host],
        port: [relay.port, other.port],
        password: () => stage.password() as string,
        silentMillis: SILENT_MILLIS,
        max: 4,
        ...options,
      })
      await pool.ready({ replicas: 1 })
      // Behind TLS a link does not say whose it is.
      const probes = new Set(relay.links)
      // As with pg, what needs the primary has an idle session there.
      await pool.query(WRITE)
      stage.isProbe = (link) => probes.has(link)
      return { stage, pool, relay }
    }
    const fail = async (stage: Stage, way: string) => {
      const old = new Set(stage.relay.links)
      stage.isNew = (link) => !old.has(link)
      const begin = WAYS[way]
      assert.ok(begin)
      const end = await begin(stage)
      stage.relay.reset(stage.isProbe)
      return end
    }
    const statesOf = (pool: Pool) => {
      const seen: string[] = []
      pool.on('topology', ({ nodes }) => seen.push(...nodes.map(({ state }) => state)))
      return seen
    }

    for (const way of Object.keys(WAYS)) {
      for (const role of ['primary', 'replica'] as const) {
        it(`${way}: nothing of the ${role} is given up, and statements run`, async () => {
          const { stage, pool, relay } = await set(role === 'primary' ? 0 : 1)
          const asked = role === 'primary' ? pool : pool.view({ route: 'replica' })
          const text = role === 'primary' ? WRITE : 'select 1 from items'
          const clients = await Promise.all([asked.connect(), asked.connect(), asked.connect()])
          const broken: unknown[] = []
          for (const client of clients) client.on('error', (error) => broken.push(error))
          clients.pop()?.release()
          const seen = statesOf(pool)
          const restore = await fail(stage, way)
          try {
            // Answered every 50 ms for several times silentMillis.
            for (let round = 0; round < 20; round++) {
              await Promise.all([...clients.map((client) => client.query('select 1')), asked.query(text)])
              await new Promise((resolve) => setTimeout(resolve, 50))
            }
            assert.deepEqual(broken, [])
            assert.ok(!seen.includes('down'), `was taken for down: ${seen}`)
            assert.equal(pool.topology().epoch, 1)
          } finally {
            await restore()
            for (const client of clients) client.release()
            await relay.close()
          }
        })
      }
    }

    it('a node without a session of the pool is given up after silentMillis of unanswered logins', async () => {
      const { stage, pool, relay } = await set(1)
      await fail(stage, 'the startup is never answered')
      const key = `${relay.host}:${relay.port}`
      await eventually('it is down', () =>
        pool.topology().nodes.some((node) => node.key === key && node.state === 'down')
      )
      await relay.close()
    })

    it('statements that answer nothing for long are not cut beside logins that hang', async () => {
      const { stage, pool, relay } = await set(0)
      const slow = [
        pool.query('insert into items select 2 from pg_sleep(2)'),
        pool.query('insert into items select 2 from pg_sleep(2)'),
      ]
      await eventually('they run', async () => {
        const text = "select 1 from pg_stat_activity where query like 'insert%pg_sleep(2)' and state = 'active'"
        return (await watcher.query(text)).rowCount === 2
      })
      await fail(stage, 'the startup is never answered')
      assert.deepEqual(
        (await Promise.all(slow)).map(({ rowCount }) => rowCount),
        [1, 1]
      )
      assert.equal(pool.topology().primary, `${relay.host}:${relay.port}`)
      await relay.close()
    })

    it('sessions that were answered before the loss only do not keep a silent primary', async () => {
      const { pool, relay } = await set(0)
      const clients = await Promise.all([pool.connect(), pool.connect()])
      for (const client of clients) client.on('error', () => {})
      clients.pop()?.release()
      relay.impose({ silent: ['toServer', 'toClient'] })
      await eventually('it is down', () => pool.topology().primary === null)
      for (const client of clients) client.release(true)
      await relay.close()
    })
  })
}
