// A read that a replica leaves unanswered is answered by the other one (hedgeMillis), and the first server stops working on it.

import assert from 'node:assert/strict'
import type { Client, PoolClient } from 'pg'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, poolOn, served } from '../support/pools.js'

/** waits() and waits_too() come back when the lock is free on the server that they run on. */
const GATE = 77
const PORT = 'inet_server_port() as port'
const WAITS = `select waits() as seven, ${PORT}`
const WAITS_TOO = `select waits_too() as seven, ${PORT}`
const WHERE = `select ${PORT}`

interface Row {
  readonly port: number
  readonly value?: number
}

describe('reads that are hedged', () => {
  let cluster: Cluster
  /** On the replica that stalls. */
  let onReplica: Client
  let name = ''
  before(async () => {
    cluster = await startCluster({ replicas: 2 })
    await cluster.streaming(0, 2)
    const client = await cluster.connect(0, 'postgres')
    for (const each of ['waits', 'waits_too']) {
      await client.query(`create function ${each}() returns int stable language plpgsql as $$ begin
        raise notice 'on %', inet_server_port();
        perform pg_advisory_lock_shared(${GATE}); perform pg_advisory_unlock_shared(${GATE}); return 7; end $$`)
    }
    await client.end()
    for (const index of [1, 2]) await cluster.caughtUp(index, 0)
    onReplica = await cluster.connect(1, 'postgres')
  })
  beforeEach(() => {
    name = `hedged ${Math.random()}`
  })
  afterEach(async () => {
    await onReplica.query('select pg_advisory_unlock_all()')
    await endPools()
  })
  after(async () => {
    await onReplica.end()
    await cluster.destroy()
  })

  const portOf = (index: number) => cluster.node(index).port
  const stall = () => onReplica.query('select pg_advisory_lock($1)', [GATE])
  const goOn = () => onReplica.query('select pg_advisory_unlock($1)', [GATE])

  /** A pool whose reads go to the first replica if they may, with as much credit as there can be. */
  async function ready(options: PoolConfig = {}): Promise<Pool> {
    const pool = poolOn(cluster, {
      maxLagMillis: Infinity,
      readYourWrites: 'off',
      hedgeMillis: 20,
      application_name: name,
      replicaSafeFunctions: ['waits', 'inet_server_port'],
      balance: (candidates) => candidates.find(({ address }) => address.port === portOf(1)) ?? (candidates[0] as never),
      ...options,
    })
    await pool.ready({ replicas: 2 })
    await eventually('reads go to the first replica', async () => (await read(pool, WHERE)).port === portOf(1))
    for (let i = 0; i < 250; i++) await pool.query(WHERE)
    return pool
  }

  async function read(on: Pool | PoolClient, text: string, values?: unknown[]): Promise<Row> {
    const { rows } = await on.query<Row>(text, values)
    return rows[0] as Row
  }

  /** The backends of the pool on the first replica that are at work. */
  async function atWork(where = "state <> 'idle'"): Promise<number> {
    const { rows } = await onReplica.query<{ count: number }>(
      `select count(*)::int from pg_stat_activity where application_name = $1 and ${where}`,
      [name]
    )
    return rows[0]?.count ?? -1
  }

  const WAYS: Readonly<Record<string, { options?: PoolConfig; run: (pool: Pool, text: string) => Promise<Row> }>> = {
    'of pool.query(), on a lane': { run: read },
    'of pool.query(), on a connection of its own': { options: { pipelineReads: false }, run: read },
    'that insists on a replica': { run: (pool, text) => read(pool.view({ route: 'replica' }), text) },
    'of a client that borrows': {
      run: async (pool, text) => {
        const client = await pool.connect()
        try {
          return await read(client, text)
        } finally {
          client.release()
        }
      },
    },
  }
  for (const [way, { options, run }] of Object.entries(WAYS)) {
    it(`a read ${way}: the other replica answers, and the first is told to stop`, async () => {
      const pool = await ready(options)
      await stall()
      assert.equal((await run(pool, WAITS)).port, portOf(2))
      await eventually('the first replica has stopped', async () => (await atWork()) === 0)
      await goOn()
      assert.equal((await read(pool, WHERE)).port, portOf(1))
    })
  }

  it('several at once, on one lane: each is answered, and none is left', async () => {
    const pool = await ready({ max: 4 })
    await stall()
    const rows = await Promise.all(Array.from({ length: 4 }, () => read(pool, WAITS)))
    assert.deepEqual(new Set(rows.map(({ port }) => port)), new Set([portOf(2)]))
    await eventually('the first replica has stopped', async () => (await atWork()) === 0)
    await goOn()
    assert.equal((await read(pool, WHERE)).port, portOf(1))
  })

  it('the first replica answers after all: the second is told to stop, and the pool goes on', async () => {
    const pool = await ready()
    const onSecond = await cluster.connect(2, 'postgres')
    try {
      await stall()
      await onSecond.query('select pg_advisory_lock($1)', [GATE])
      const answer = read(pool, WAITS)
      const others = async () => {
        const { rows } = await onSecond.query<{ count: number }>(
          "select count(*)::int from pg_stat_activity where application_name = $1 and wait_event = 'advisory'",
          [name]
        )
        return rows[0]?.count
      }
      await eventually('the second has it, too', async () => (await others()) === 1)
      await goOn()
      assert.equal((await answer).port, portOf(1))
      await eventually('the second has stopped', async () => (await others()) === 0)
    } finally {
      await onSecond.end()
    }
    assert.equal((await read(pool, WHERE)).port, portOf(1))
  })

  it('is counted once, where it went first', async () => {
    const pool = await ready()
    const before = served(pool)
    await stall()
    await read(pool, WAITS)
    const counted = (index: number) => {
      const key = `${cluster.node(index).host}:${portOf(index)}`
      return (served(pool)[key] ?? 0) - (before[key] ?? 0)
    }
    assert.deepEqual([counted(0), counted(1), counted(2)], [0, 1, 0])
  })

  it('notices are those of the answer', async () => {
    const pool = await ready()
    const client = await pool.connect()
    const heard: string[] = []
    client.on('notice', ({ message }) => heard.push(String(message)))
    await stall()
    await read(client, WAITS)
    assert.deepEqual(heard, [`on ${portOf(2)}`])
    await goOn()
    await read(client, WAITS)
    assert.deepEqual(heard, [`on ${portOf(2)}`, `on ${portOf(1)}`])
    client.release()
  })

  it('a session goes on at the replica that answered', async () => {
    const pool = await ready({ readYourWrites: 'session', maxLagMillis: 10_000 })
    await pool.session(async () => {
      await read(pool, WHERE)
      const readAt = performance.now()
      const lagMillis = () =>
        pool.topology().nodes.find(({ key }) => key.endsWith(`:${portOf(2)}`))?.lagMillis ?? Infinity
      await eventually('the other has all that was there then', () => lagMillis() < performance.now() - readAt)
      await stall()
      assert.equal((await read(pool, WAITS)).port, portOf(2))
      await goOn()
      assert.equal((await read(pool, WHERE)).port, portOf(2))
    })
  })

  it('values that the caller changes meanwhile are those of the call', async () => {
    const pool = await ready()
    await stall()
    const values = [1]
    const answer = read(pool, `${WAITS}, $1::int as value`, values)
    values[0] = 2
    assert.deepEqual(await answer, { seven: 7, port: portOf(2), value: 1 })
  })

  it('the error of the second waits for the first, and the error of the statement is told once', async () => {
    const pool = await ready()
    await stall()
    const answer = pool.query(`${WAITS}, 1 / (inet_server_port() * 0) as no`)
    answer.catch(() => {})
    assert.equal((await read(pool, WAITS)).port, portOf(2))
    await eventually('it waits alone', async () => (await atWork("wait_event = 'advisory'")) === 1)
    await goOn()
    await assert.rejects(answer, { code: '22012', outcome: 'rolled-back' })
  })

  it('an aborted read is gone from both replicas', async () => {
    const pool = await ready()
    const onSecond = await cluster.connect(2, 'postgres')
    try {
      await stall()
      await onSecond.query('select pg_advisory_lock($1)', [GATE])
      const controller = new AbortController()
      const answer = pool.query({ text: WAITS, signal: controller.signal })
      const others = async () => {
        const { rows } = await onSecond.query<{ count: number }>(
          "select count(*)::int from pg_stat_activity where application_name = $1 and wait_event = 'advisory'",
          [name]
        )
        return rows[0]?.count ?? -1
      }
      await eventually('both have it', async () => (await others()) === 1 && (await atWork()) === 1)
      controller.abort()
      await assert.rejects(answer, { name: 'AbortError' })
      await eventually('neither has it', async () => (await others()) === 0 && (await atWork()) === 0)
    } finally {
      await onSecond.end()
    }
  })

  it('pool.end() waits for what was given up, and leaves nothing', async () => {
    for (const pipelineReads of [true, false]) {
      const pool = await ready({ pipelineReads })
      await stall()
      assert.equal((await read(pool, WAITS)).port, portOf(2))
      await pool.end()
      assert.deepEqual([pool.totalCount, pool.idleCount, pool.waitingCount], [0, 0, 0])
      await eventually('no backend is left', async () => (await atWork('true')) === 0)
      await goOn()
    }
  })

  /** `text` stays at the first replica although its time is over, as the answer of a hedged read that was sent after it shows. */
  async function stays(pool: Pool, control: Pool, query: string | object, where = portOf(1)): Promise<void> {
    await stall()
    const answer = pool.query<Row>(query as string)
    assert.equal((await read(control, WAITS)).port, portOf(2))
    assert.equal(pool.waitingCount, 0, 'no second attempt waits for a connection')
    await goOn()
    assert.equal((await answer).rows[0]?.port, where)
  }

  it('not: a function of the application that replicaSafeFunctions does not name', async () => {
    const pool = await ready()
    await stays(pool, pool, WAITS_TOO)
  })
  it('not: a config with parsers of its own', async () => {
    const pool = await ready()
    await stays(pool, pool, { text: WAITS, types: { getTypeParser: () => Number } })
  })
  it('not: the other replica has a lane and no other connection', async () => {
    let preferred = 1
    const balance: PoolConfig['balance'] = (candidates) =>
      candidates.find(({ address }) => address.port === portOf(preferred)) ?? (candidates[0] as never)
    const pool = await ready({ max: 2, balance })
    preferred = 2
    const client = await pool.view({ route: 'replica' }).connect()
    assert.equal((await read(client, WHERE)).port, portOf(2))
    assert.equal((await read(pool, WHERE)).port, portOf(2))
    preferred = 1
    await stays(pool, await ready(), WAITS)
    client.release()
  })
  it('not: by default', async () => {
    await stays(await ready({ hedgeMillis: undefined }), await ready(), WAITS)
  })
  it('not: a READ ONLY transaction', async () => {
    const pool = await ready()
    await stall()
    const answer = pool.transaction((client) => read(client, WAITS), { readOnly: true })
    await eventually('it waits', async () => (await atWork("wait_event = 'advisory'")) === 1)
    assert.equal((await read(pool, WAITS)).port, portOf(2))
    await goOn()
    assert.equal((await answer).port, portOf(1))
  })
})
