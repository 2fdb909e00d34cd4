// Sessions see what they wrote and never go backwards; tokens carry that to another pool. On real servers, with replicas that
// are made to lag: only where a read must not go to them does it matter.

import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { PositionQuestions } from '../../src/herd/positions.js'
import type { Pool, PoolConfig, TokenLost } from '../../src/index.js'
import { sessionOf } from '../../src/pg/watch.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { ANYWHERE, bump, counterCluster, READ, read, type Seen } from '../support/counter.js'
import { endPools, eventually, keyOf, poolOn } from '../support/pools.js'

describe('sessions', () => {
  const counter = counterCluster()
  let cluster: Cluster
  before(() => {
    cluster = counter()
  })

  const port = (index: number) => cluster.node(index).port
  /** Ready to read from both replicas, whose replay then stands still. */
  async function paused(options: PoolConfig, replicas: readonly number[] = [1, 2]): Promise<Pool> {
    const pool = poolOn(cluster, { ...ANYWHERE, maxLagMillis: Infinity, readYourWrites: 'session', ...options })
    await pool.ready({ replicas: 2 })
    for (const index of replicas) await cluster.pauseReplay(index)
    return pool
  }

  it('a session sees its own writes, whoever makes them in it; nobody else has to', async () => {
    const pool = await paused({})
    const WRITES: Readonly<Record<string, () => Promise<number>>> = {
      'query()': () => bump(pool),
      'a client': async () => {
        const client = await pool.connect()
        try {
          return await bump(client)
        } finally {
          client.release()
        }
      },
      'a transaction on a client': async () => {
        const client = await pool.connect()
        try {
          await client.query('begin')
          const n = await bump(client)
          await client.query('commit')
          return n
        } finally {
          client.release()
        }
      },
      'transaction()': () => pool.transaction((client) => bump(client)),
      'a view': () => bump(pool.view({ route: 'primary' })),
      'a callback': () =>
        new Promise((resolve, reject) =>
          pool.query('update counter set n = n + 1 where id = 1 returning n', (error, result) =>
            error ? reject(error) : resolve(result.rows[0].n)
          )
        ),
    }
    for (const [name, write] of Object.entries(WRITES)) {
      const before = await read(pool)
      await pool.session(async () => {
        const n = await write()
        await turn()
        assert.equal((await read(pool)).n, n, name)
        assert.deepEqual(await Promise.all([read(pool), read(pool)]).then((seen) => seen.map((each) => each.n)), [n, n])
      })
      const outside = await read(pool)
      assert.deepEqual([outside.n, outside.port === port(0)], [before.n, false], `${name}: outside of it`)
      await pool.session(async () => assert.equal((await read(pool)).n, before.n, `${name}: another session`))
    }
  })

  it('what failed or was rolled back keeps no read from a replica', async () => {
    const pool = await paused({})
    await pool.session(async () => {
      await assert.rejects(pool.query('insert into counter values (1, 1)'), { code: '23505' })
      const client = await pool.connect()
      for (const text of ['begin', 'update counter set n = -1', 'rollback']) await client.query(text)
      for (const text of ['begin', 'update counter set n = -1']) await client.query(text)
      await assert.rejects(client.query('select 1 / 0'))
      await client.query('commit')
      client.release()
      assert.notEqual((await read(pool)).port, port(0))
    })
  })

  it('sessions in sessions: what the inner ones write the outer ones have written, and not their neighbours', async () => {
    const pool = await paused({})
    const { n: old } = await read(pool)
    await pool.session(async () => {
      const fresh = await pool.session(async () => {
        const written = await bump(pool)
        await pool.session(async () => assert.equal((await read(pool)).n, written))
        return written
      })
      assert.equal((await read(pool)).n, fresh)
    })
    await pool.session(async () => {
      let written = Number.NaN
      const wrote = pool.session(async () => {
        written = await bump(pool)
        return (await read(pool)).n
      })
      const neighbour = pool.session(async () => {
        await eventually('the neighbour has written', () => !Number.isNaN(written))
        return (await read(pool)).n
      })
      assert.deepEqual(await Promise.all([wrote, neighbour]), [written, old])
      assert.equal((await read(pool)).n, written)
    })
  })

  it('reads stay with one replica, and leave it only for a server that has all it has shown', async () => {
    const pool = await paused({ maxLagMillis: Infinity }, [2])
    const writer = poolOn(cluster, {}, 'app', [0])
    await eventually('a session begins on the replica that goes on', () =>
      pool.session(async () => {
        const first = await read(pool)
        if (first.port !== port(1)) return false
        const n = await bump(writer)
        await cluster.caughtUp(1, 0)
        for (let i = 0; i < 20; i++) assert.equal((await read(pool)).port, port(1))
        assert.equal((await read(pool)).n, n)
        // The other replica is fit for anybody else, and would go backwards.
        await cluster.pauseReplay(1)
        const later = await bump(writer)
        assert.equal((await read(pool)).n, n)
        assert.equal((await read(pool, 'primary')).n, later)
        assert.deepEqual(await read(pool), { n: later, port: port(0) })
        return true
      })
    )
  })

  it('what reads that ran together have shown must be there for those that follow', async () => {
    const pool = await paused({ maxLagMillis: Infinity }, [2])
    const writer = poolOn(cluster, {}, 'app', [0])
    const four = <T>(work: () => Promise<T>) => Promise.all([1, 2, 3, 4].map(work))
    const newest = (seen: readonly Seen[]) => Math.max(...seen.map(({ n }) => n))
    for (let i = 0; i < 10; i++) {
      await bump(writer)
      await cluster.caughtUp(1, 0)
      await pool.session(async () => {
        const seen = newest(await four(() => read(pool)))
        assert.ok((await read(pool)).n >= seen)
      })
      await pool.session(async () => {
        const seen = newest(await four(() => pool.session(() => read(pool))))
        assert.ok((await read(pool)).n >= seen, 'in sessions of their own')
      })
    }
  })

  it('what a client of a replica has shown must be there while it is still held', async () => {
    const pool = await paused({ maxLagMillis: Infinity }, [2])
    const writer = poolOn(cluster, {}, 'app', [0])
    const seenBy = async (client: Pick<Pool, 'query'>) => (await client.query<Seen>(READ)).rows[0]?.n ?? Number.NaN
    for (let i = 0; i < 10; i++) {
      await bump(writer)
      await cluster.caughtUp(1, 0)
      await pool.session(async () => {
        const client = await pool.view({ route: 'replica' }).connect()
        const seen = await seenBy(client)
        assert.ok((await read(pool)).n >= seen)
        client.release()
      })
      await pool.session(async () => {
        const client = await pool.connect()
        await client.query('begin read only')
        const seen = await seenBy(client)
        assert.ok((await read(pool)).n >= seen, 'in a READ ONLY transaction')
        await client.query('commit')
        client.release()
      })
    }
  })

  it('a replica that is stopped takes nothing with it that a session has seen', async () => {
    const pool = await paused({ maxLagMillis: Infinity }, [2])
    const writer = poolOn(cluster, {}, 'app', [0])
    try {
      await eventually('a session begins on the replica that goes on', () =>
        pool.session(async () => {
          if ((await read(pool)).port !== port(1)) return false
          const n = await bump(writer)
          await cluster.caughtUp(1, 0)
          assert.deepEqual(await read(pool), { n, port: port(1) })
          await cluster.stop(1, 'fast')
          assert.equal((await read(pool)).n, n)
          return true
        })
      )
    } finally {
      await cluster.start(1)
    }
  })

  it('what was read on the primary is there from then on', async () => {
    const pool = await paused({})
    const writer = poolOn(cluster, {}, 'app', [0])
    await pool.session(async () => {
      const n = await bump(writer)
      assert.notEqual((await read(pool)).n, n)
      assert.equal((await read(pool, 'primary')).n, n)
      assert.equal((await read(pool)).n, n)
    })
    await pool.session(async () => {
      const client = await pool.connect()
      const n = await bump(writer)
      const { rows } = await client.query<Seen>(`/* pgherd:primary */ ${READ}`)
      client.release()
      assert.deepEqual([rows[0]?.n, (await read(pool)).n], [n, n])
    })
  })

  it('a session that has read on the primary does not stay there', async () => {
    const pool = poolOn(cluster, { ...ANYWHERE, readYourWrites: 'session' })
    await pool.ready({ replicas: 2 })
    let onPrimary = 0
    for (let i = 0; i < 10; i++) {
      await pool.session(async () => {
        await read(pool, 'primary')
        for (let j = 0; j < 10; j++) if ((await read(pool)).port === port(0)) onPrimary++
      })
    }
    assert.ok(onPrimary < 30, `${onPrimary} of 100`)
  })

  it('what a write has shown is there from then on, also when it is rolled back', async () => {
    const pool = await paused({})
    const n = await bump(poolOn(cluster, {}, 'app', [0]))
    await pool.session(async () => {
      const client = await pool.connect()
      await client.query('begin')
      assert.equal(await bump(client), n + 1)
      await client.query('rollback')
      client.release()
      assert.equal((await read(pool)).n, n)
    })
  })

  it('a client sees what was written on it, in whatever session that was, or in none', async () => {
    const pool = await paused({})
    const seenBy = async (client: Pick<Pool, 'query'>) => (await client.query<Seen>(READ)).rows[0]?.n
    const outside = await pool.connect()
    const written = await bump(outside)
    assert.equal(await seenBy(outside), written)
    await pool.session(async () => assert.equal(await seenBy(outside), written))
    outside.release()
    const inside = await pool.session(async () => {
      await bump(pool)
      return pool.connect()
    })
    assert.equal(await seenBy(inside), written + 1, 'the session that took it counts where none is')
    inside.release()
  })

  it('what others committed asynchronously and a session saw is there from then on, with strictAsyncCommit', async () => {
    const admin = await cluster.connect(0, 'postgres')
    const pool = poolOn(cluster, { ...ANYWHERE, readYourWrites: 'session', strictAsyncCommit: true })
    const writer = poolOn(cluster, { options: '-c synchronous_commit=off' }, 'app', [0])
    try {
      await admin.query("alter system set wal_writer_delay = '2s'")
      await cluster.reload(0)
      await pool.ready({ replicas: 2 })
      await pool.session(async () => {
        await read(pool)
        const n = await bump(writer)
        assert.equal((await read(pool, 'primary')).n, n)
        assert.equal((await read(pool)).n, n)
      })
    } finally {
      await admin.query('alter system reset wal_writer_delay')
      await cluster.reload(0)
    }
  })

  it('a notification counts for the sessions that are under way, too', async () => {
    const pool = await paused({})
    const writer = poolOn(cluster, {}, 'app', [0])
    const listener = await pool.connect()
    await listener.query('listen news')
    await pool.session(async () => {
      const told = new Promise((resolve) => listener.once('notification', resolve))
      const n = await bump(writer)
      await writer.query('notify news')
      await told
      assert.notEqual(await pool.token(), null, 'other processes can be told, too')
      assert.equal((await read(pool)).n, n)
    })
    listener.release(true)
  })

  it('a client that is never given back serves any number of sessions, and remembers none', async () => {
    const pool = await paused({})
    const client = await pool.connect()
    for (let i = 0; i < 10; i++) {
      await pool.session(async () => {
        const n = await bump(client)
        assert.equal((await read(pool)).n, n)
      })
    }
    const together = [1, 2, 3].map(() => pool.session(async () => [await bump(client), (await read(pool)).n]))
    for (const [written, seen] of await Promise.all(together)) assert.ok((seen ?? 0) >= (written ?? Infinity))
    assert.equal(sessionOf(client)?.scopes, null)
    client.release()
  })

  it("readYourWrites: 'off' sees no write of its own, in no session either, but goes back behind no read", async () => {
    const pool = await paused({ readYourWrites: 'off' })
    const { n: old } = await read(pool)
    await pool.session(async () => {
      const n = await bump(pool)
      assert.equal((await read(pool)).n, old)
      assert.equal((await read(pool, 'primary')).n, n)
      assert.equal((await read(pool)).n, n)
    })
  })

  describe('tokens', () => {
    it('carry what one pool wrote to another, which reads it or asks the primary', async () => {
      const writer = poolOn(cluster)
      const reader = await paused({})
      await writer.ready({ replicas: 2 })
      const { n: old } = await read(reader)
      const n = await bump(writer)
      const token = await writer.token()
      assert.match(token ?? '', /^1\.[0-9a-z]+\.1\.[0-9a-z]+$/)
      assert.equal((await read(reader)).n, old)
      await reader.session(token, async () => {
        const seen = await read(reader)
        assert.deepEqual([seen.n, seen.port], [n, port(0)])
        // What comes in goes out again.
        assert.equal(await reader.token(), token)
        const later = await bump(reader)
        const both = await reader.token()
        assert.notEqual(both, token)
        await writer.session([token, null, '', both], async () => assert.equal((await read(writer)).n, later))
      })
      await cluster.resumeReplay(1)
      await cluster.caughtUp(1, 0)
      const onReplica = async () => (await reader.session(token, () => read(reader))).port !== port(0)
      await eventually('a replica has what the token stands for', onReplica)
    })

    it('that the primary is known to have passed cost it no question', async () => {
      const pool = poolOn(cluster, { ...ANYWHERE, readYourWrites: 'session' })
      await pool.ready({ replicas: 2 })
      const { ask } = PositionQuestions.prototype
      let questions = 0
      PositionQuestions.prototype.ask = function () {
        questions++
        ask.call(this)
      }
      try {
        const token = await pool.session(async () => {
          await bump(pool)
          return pool.token()
        })
        const before = questions
        for (let i = 0; i < 20; i++) await pool.session(token, () => read(pool))
        assert.ok(questions - before < 10, `${questions - before} for 20 sessions`)
      } finally {
        PositionQuestions.prototype.ask = ask
      }
    })

    it('stand for what a session has read on a replica', async () => {
      const pool = await paused({}, [2])
      const writer = poolOn(cluster, {}, 'app', [0])
      for (let i = 0; i < 10; i++) {
        await bump(writer)
        await cluster.caughtUp(1, 0)
        const [seen, token] = await pool.session(async () => [await read(pool), await pool.token()] as const)
        assert.ok((await pool.session(token, () => read(pool))).n >= seen.n)
      }
    })

    it('of a pool with one server, and of one that wrote nothing', async () => {
      const single = poolOn(cluster, {}, 'app', [0])
      const n = await bump(single)
      const token = await single.token()
      const reader = await paused({})
      assert.equal(await reader.token(), null)
      await reader.session(token, async () => assert.equal((await read(reader)).n, n))
      await reader.session(null, async () => assert.equal(await reader.token(), null))
    })

    it('in a list are judged alone: one of another cluster hides none of this one, in either order or nested', async () => {
      const writer = poolOn(cluster)
      await writer.ready({ replicas: 2 })
      const reader = await paused({})
      const n = await bump(writer)
      const genuine = await writer.token()
      const { systemIdentifier } = writer.topology()
      const foreign = `1.${(BigInt(systemIdentifier ?? 0) + 1n).toString(36)}.9.zz`
      const ignore = { invalidToken: 'ignore' } as const
      for (const tokens of [
        [foreign, genuine],
        [genuine, foreign],
        ['nonsense', foreign, genuine],
      ]) {
        assert.equal((await reader.session(tokens, () => read(reader), ignore)).n, n)
        assert.equal(await reader.session(tokens, () => reader.token(), ignore), genuine)
      }
      const nested = (outer: string | null, inner: string | null) =>
        reader.session(outer, () => reader.session(inner, () => read(reader), ignore), ignore)
      assert.equal((await nested(foreign, genuine)).n, n)
      assert.equal((await nested(genuine, foreign)).n, n)
      // What an outer session ignores is no error of an inner one that is strict.
      const strict = () => reader.session(genuine, () => read(reader))
      assert.equal((await reader.session(foreign, strict, ignore)).n, n)
      assert.throws(() => reader.session([foreign, genuine], () => 1), {
        code: 'PGHERD_TOKEN',
        message: /another cluster/,
      })
    })

    it('of several clusters, in a pool that knows no server yet: the one of this cluster goes on', async () => {
      const writer = poolOn(cluster)
      await bump(writer)
      const genuine = await writer.token()
      const foreign = '1.1.9.zz'
      for (const tokens of [
        [foreign, genuine],
        [genuine, foreign],
      ]) {
        const cold = poolOn(cluster)
        const token = await cold.session(tokens, () => cold.token(), { invalidToken: 'ignore' })
        assert.equal(token?.split('.')[1], genuine?.split('.')[1])
      }
    })

    it('of the commit of a session with synchronous_commit = off', async () => {
      const writer = poolOn(cluster)
      await writer.ready({ replicas: 2 })
      const reader = await paused({})
      const client = await writer.connect()
      await client.query('set synchronous_commit to off')
      const n = await bump(client)
      const token = await writer.token()
      client.release(true)
      for (const index of [1, 2]) await cluster.resumeReplay(index)
      const seen = await reader.session(token, () => read(reader))
      assert.ok(seen.n >= n)
    })

    it('from the future keep no read from the replicas', async () => {
      const reader = poolOn(cluster, { ...ANYWHERE, readYourWrites: 'session' })
      await reader.ready({ replicas: 2 })
      const token = await reader.session(async () => {
        await bump(reader)
        return reader.token()
      })
      const forged = `${(token ?? '').replace(/[^.]+$/, '')}3w5e11264sgsf`
      let onReplicas = 0
      for (let i = 0; i < 20; i++) {
        const seen = await reader.session(forged, async () => {
          await read(reader)
          return read(reader)
        })
        if (seen.port !== port(0)) onReplicas++
      }
      assert.ok(onReplicas > 10, `${onReplicas} of 20`)
    })

    it('that are none are refused, or ignored where the caller says so', async () => {
      const reader = poolOn(cluster)
      await reader.ready()
      const { systemIdentifier } = reader.topology()
      const foreign = `1.${(BigInt(systemIdentifier ?? 0) + 1n).toString(36)}.1.1`
      const run = (token: string) => reader.session(token, () => read(reader))
      assert.throws(() => run('nonsense'), { code: 'PGHERD_TOKEN', message: /it is no token/ })
      await assert.rejects(async () => run(foreign), { code: 'PGHERD_TOKEN', message: /another cluster/ })
      for (const token of ['nonsense', foreign, 'x'.repeat(10_000)]) {
        await reader.session(token, () => read(reader), { invalidToken: 'ignore' })
      }
      assert.throws(
        () => reader.session('x', () => 1, { invalidToken: 'no' as 'error' }),
        /'error' or 'ignore', not no/
      )
      assert.throws(() => (reader.session as (first: unknown) => unknown)('x'), TypeError)
    })
  })
})

describe('tokens after a failover', () => {
  it('that stand for what was lost are answered by the new primary, and reported once for a session', async () => {
    const cluster = await startCluster({ replicas: 2 })
    try {
      await cluster.streaming(0, 2)
      const pool = poolOn(cluster, { ...ANYWHERE, readYourWrites: 'session' }, 'monitor')
      const lost: TokenLost[] = []
      pool.on('tokenLost', (event) => lost.push(event))
      await pool.query('create table counter (id int primary key, n int not null)')
      await pool.query('insert into counter values (1, 0)')
      await pool.ready({ replicas: 2 })
      for (const index of [1, 2]) await cluster.caughtUp(index, 0)
      const kept = await pool.session(async () => {
        await bump(pool)
        return pool.token()
      })
      for (const index of [1, 2]) await cluster.caughtUp(index, 0)
      for (const index of [1, 2]) await cluster.unplug(index)
      const gone = await pool.session(async () => {
        await bump(pool)
        return pool.token()
      })
      await cluster.kill(0)
      await cluster.promote(1)
      await cluster.follow(2, 1)
      await pool.ready({ replicas: 1 })
      await pool.session(gone, async () => {
        for (let i = 0; i < 3; i++) assert.deepEqual(await read(pool), { n: 1, port: cluster.node(1).port })
      })
      assert.deepEqual(lost, [{ timeline: 1, now: 2 }])
      const forged = '1.0.1.3w5e11264sgsf'
      const whereForged = async () => (await pool.session(forged, () => read(pool))).port === cluster.node(2).port
      await eventually('a crowd of forged ones is read from the replica', whereForged)
      assert.ok(lost.length > 10)
      lost.length = 1
      const onReplica = async () => (await pool.session(kept, () => read(pool))).port === cluster.node(2).port
      await eventually('what survived is read from the replica', onReplica)
      assert.equal(lost.length, 1)
      assert.equal(pool.topology().primary, keyOf(cluster, 1))
      // On the new timeline tokens are of that.
      const next = await pool.session(async () => {
        await bump(pool)
        return pool.token()
      })
      assert.match(next ?? '', /^1\.[0-9a-z]+\.2\./)
    } finally {
      await endPools()
      await cluster.destroy()
    }
  })
})
