// node-postgres through the proxy, on real servers: where statements run, what a session keeps, what its neighbours see of that.

import assert from 'node:assert/strict'
import net from 'node:net'
import type pg from 'pg'
import Cursor from 'pg-cursor'
import { type Cluster, startCluster } from '../../support/cluster.js'
import { eventually } from '../../support/pools.js'
import { endProxies, proxyOn, type Served } from '../../support/proxies.js'

type Rows = readonly Record<string, unknown>[]

describe('clients of the proxy', () => {
  let cluster: Cluster
  let served: Served

  before(async () => {
    cluster = await startCluster({ replicas: 2 })
    const client = await cluster.connect(0)
    await client.query(
      "create function own_port() returns int language sql stable as $$ select setting::int from pg_catalog.pg_settings where name = 'port' $$"
    )
    await client.query('create table things (id int primary key, name text)')
    await client.query("insert into things select n, 'thing ' || n from generate_series(1, 100) n")
    await Promise.all([cluster.caughtUp(1, 0), cluster.caughtUp(2, 0)])
  })
  beforeEach(async () => {
    served = await proxyOn(cluster)
    await served.ready(2)
  })
  afterEach(() => endProxies())
  after(() => cluster.destroy())

  /** A function that is declared STABLE may run anywhere. */
  const PORT = 'select own_port() as port'
  const rows = async (client: pg.Client, text: string, values?: unknown[]): Promise<Rows> =>
    (await client.query(text, values)).rows
  const portOf = async (client: pg.Client) => Number((await rows(client, PORT))[0]?.port)
  const isReplica = (port: number) => port === cluster.node(1).port || port === cluster.node(2).port
  const codeOf = async (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'none',
      (error) => String((error as { code?: unknown }).code)
    )

  it('reads run on replicas, writes on the primary, and a client sees its own', async () => {
    const client = await served.connect()
    assert.ok(isReplica(await portOf(client)))
    for (let i = 0; i < 20; i++) {
      await client.query('update things set name = $1 where id = 1', [`round ${i}`])
      assert.deepEqual(await rows(client, 'select name from things where id = 1'), [{ name: `round ${i}` }])
    }
  })

  it('a write that no replica has replayed is read on the primary', async () => {
    const client = await served.connect()
    await Promise.all([cluster.pauseReplay(1), cluster.pauseReplay(2)])
    try {
      await client.query("update things set name = 'mine' where id = 2")
      assert.deepEqual(await rows(client, 'select name from things where id = 2'), [{ name: 'mine' }])
    } finally {
      await Promise.all([cluster.resumeReplay(1), cluster.resumeReplay(2)])
    }
  })

  it('a token carries what one client wrote to another', async () => {
    const [writer, reader] = [await served.connect(), await served.connect()]
    await Promise.all([cluster.pauseReplay(1), cluster.pauseReplay(2)])
    try {
      await writer.query("update things set name = 'told' where id = 3")
      const token = String((await rows(writer, 'show pgherd.token'))[0]?.['pgherd.token'])
      await reader.query(`set pgherd.token = '${token}'`)
      assert.deepEqual(await rows(reader, 'select name from things where id = 3'), [{ name: 'told' }])
    } finally {
      await Promise.all([cluster.resumeReplay(1), cluster.resumeReplay(2)])
    }
  })

  it('pgherd.route chooses the side, as a setting, at the start and as a hint', async () => {
    const client = await served.connect()
    await client.query("set pgherd.route = 'primary'")
    assert.equal(await portOf(client), cluster.node(0).port)
    await client.query('reset pgherd.route')
    assert.ok(isReplica(await portOf(client)))
    const other = await served.connect({ options: '-c pgherd.route=primary' })
    assert.equal(await portOf(other), cluster.node(0).port)
    assert.equal(Number((await rows(client, `/* pgherd:primary */ ${PORT}`))[0]?.port), cluster.node(0).port)
    assert.equal(await codeOf(served.connect({ options: '-c pgherd.route=nowhere' })), '22023')
  })

  it('transactions: BEGIN on the primary, BEGIN READ ONLY on a replica, until they end', async () => {
    const client = await served.connect()
    await client.query('begin')
    assert.equal(await portOf(client), cluster.node(0).port)
    await client.query("insert into things values (200, 'gone')")
    await client.query('rollback')
    await client.query('begin read only')
    const port = await portOf(client)
    assert.ok(isReplica(port))
    assert.equal(await portOf(client), port)
    await client.query('commit')
    assert.deepEqual(await rows(client, 'select 1 as one from things where id = 200'), [])
  })

  it('a READ ONLY transaction goes on at the primary where only that can do what is asked', async () => {
    const client = await served.connect()
    await client.query('begin isolation level read committed read only')
    assert.ok(isReplica(await portOf(client)))
    assert.deepEqual(await rows(client, 'select pg_is_in_recovery() as standby'), [{ standby: false }])
    assert.equal(await portOf(client), cluster.node(0).port)
    assert.equal(await codeOf(client.query('insert into things values (201)')), '25006')
    await client.query('rollback')
    await client.query('begin isolation level repeatable read read only')
    await client.query('select * from things')
    assert.equal(await codeOf(client.query("select nextval('nothing')")), '25006')
    assert.equal(await codeOf(client.query('select 1')), '25P02')
    await client.query('rollback')
    assert.equal((await rows(client, 'select 1 as one')).length, 1)
  })

  it("an error in a transaction is the server's, and ends with it", async () => {
    const client = await served.connect()
    await client.query('begin')
    assert.equal(await codeOf(client.query('select 1/0')), '22012')
    assert.equal(await codeOf(client.query('select 1')), '25P02')
    await client.query('rollback')
    assert.equal(await codeOf(client.query('select 1')), 'none')
  })

  it('settings follow their client, and reach no other', async () => {
    const [a, b] = [await served.connect({ options: '-c work_mem=5MB' }), await served.connect()]
    const memory = async (client: pg.Client) => (await rows(client, "select current_setting('work_mem') as it"))[0]?.it
    for (let i = 0; i < 3; i++) assert.deepEqual([await memory(a), await memory(b)], ['5MB', '4MB'])
    await a.query("set work_mem = '6MB'")
    assert.deepEqual([await memory(a), await memory(b)], ['6MB', '4MB'])
    await a.query('begin')
    await a.query("set work_mem = '7MB'")
    assert.equal(await memory(a), '7MB')
    await a.query('rollback')
    assert.equal(await memory(a), '6MB')
    await a.query('reset work_mem')
    assert.deepEqual([await memory(a), await memory(b)], ['5MB', '4MB'])
    await a.query('discard all')
    assert.equal(await memory(a), '5MB')
    assert.equal(served.proxy.sides.isBusy, false)
  })

  it('a bad startup setting is refused as by the server', async () => {
    assert.equal(await codeOf(served.connect({ options: '-c work_mem=nonsense' })), '22023')
    assert.equal(await codeOf(served.connect({ database: 'nowhere' })), '3D000')
  })

  it('named statements run wherever their client is served', async () => {
    const clients = await Promise.all(Array.from({ length: 6 }, () => served.connect()))
    for (let i = 0; i < 10; i++) {
      await Promise.all(
        clients.map(async (client, n) => {
          const { rows } = await client.query({ name: 'one', text: `select $1::int + ${n % 3} as sum`, values: [i] })
          assert.deepEqual(rows, [{ sum: i + (n % 3) }])
        })
      )
    }
  })

  it('a named statement under another search_path is another statement', async () => {
    const client = await served.connect()
    await client.query(
      'create schema if not exists s2; create table if not exists s2.things (id int primary key, name text)'
    )
    const ask = () => client.query({ name: 'path', text: 'select count(*)::int as n from things' })
    assert.equal((await ask()).rows[0].n > 0, true)
    await client.query('set search_path to s2')
    assert.equal((await ask()).rows[0].n, 0)
  })

  it('DDL under a named statement fails it once, and a new name is well', async () => {
    const client = await served.connect()
    await client.query('create table shapes (a int)')
    await client.query("set pgherd.route = 'primary'")
    await client.query({ name: 'x', text: 'select * from shapes' })
    await client.query('alter table shapes add b int')
    assert.equal(await codeOf(client.query({ name: 'x', text: 'select * from shapes' })), '0A000')
    const { fields } = await client.query({ name: 'y', text: 'select * from shapes' })
    assert.equal(fields.length, 2)
  })

  it('DEALLOCATE of a protocol name, and of all', async () => {
    const client = await served.connect()
    await client.query({ name: 'gone', text: 'select 1' })
    await client.query('deallocate gone')
    assert.equal(await codeOf(client.query('deallocate gone')), '26000')
    await client.query('deallocate all')
  })

  it('what pins stays: temporary tables, SQL PREPARE, locks; and DISCARD ALL ends it', async () => {
    const client = await served.connect()
    await client.query('create temp table mine (a int)')
    await client.query('insert into mine values (1)')
    assert.deepEqual(await rows(client, 'select a from mine'), [{ a: 1 }])
    await client.query('prepare p as select 5 as five')
    assert.deepEqual(await rows(client, 'execute p'), [{ five: 5 }])
    await client.query('discard all')
    assert.equal(await codeOf(client.query('select a from mine')), '42P01')
    assert.equal(served.proxy.sides.isBusy, false)
  })

  it('LISTEN pins, and notifications come', async () => {
    const [listener, sender] = [await served.connect(), await served.connect()]
    await listener.query('listen news')
    const heard = new Promise<string | undefined>((resolve) =>
      listener.once('notification', ({ payload }) => resolve(payload))
    )
    await sender.query("notify news, 'hello'")
    assert.equal(await heard, 'hello')
  })

  it('a client that vanishes leaves nothing: no lock, no transaction, no running statement', async () => {
    const watcher = await cluster.connect(0)
    const stream = (client: pg.Client) =>
      (client as unknown as { connection: { stream: net.Socket } }).connection.stream
    const locker = await served.connect()
    await locker.query('select pg_advisory_lock(42)')
    const opener = await served.connect()
    await opener.query('begin')
    await opener.query("update things set name = 'never' where id = 9")
    const sleeper = await served.connect()
    void sleeper.query('/* sleeper */ insert into things select 1000, pg_sleep(60)::text').catch(() => {})
    await eventually('the sleeper runs', async () => {
      const { rows } = await watcher.query(
        "select 1 from pg_stat_activity where query like '/* sleeper */%' and state = 'active'"
      )
      return rows.length > 0
    })
    for (const client of [locker, opener, sleeper]) stream(client).destroy()
    await eventually('nothing is left', async () => {
      const locks = await watcher.query("select 1 from pg_locks where locktype = 'advisory'")
      const open = await watcher.query(
        "select 1 from pg_stat_activity where usename = 'app' and state like 'idle in transaction%'"
      )
      const busy = await watcher.query(
        "select 1 from pg_stat_activity where query like '/* sleeper */%' and state = 'active'"
      )
      return locks.rows.length + open.rows.length + busy.rows.length === 0
    })
    assert.notDeepEqual((await watcher.query('select name from things where id = 9')).rows, [{ name: 'never' }])
  })

  it('a lock that a failed statement took stays with nobody', async () => {
    const client = await served.connect()
    assert.equal(await codeOf(client.query('select pg_advisory_lock(5), 1 / (random() * 0)::int')), '22012')
    const other = await cluster.connect(0)
    try {
      await eventually('the lock is free', async () => {
        return (await rows(other, 'select pg_try_advisory_lock(5) as is'))[0]?.is === true
      })
    } finally {
      await other.end()
    }
  })

  it('each of several statements in a text is done, whatever it begins with', async () => {
    const client = await served.connect()
    assert.equal(await codeOf(client.query('discard all; select 1')), '25001')
    await client.query('deallocate all; insert into things values (900)')
    assert.equal((await rows(client, 'select id from things where id = 900')).length, 1)
  })

  it('a READ ONLY transaction that failed keeps its client on no replica', async () => {
    const client = await served.connect()
    await client.query('begin read only')
    assert.equal(await codeOf(client.query('create temp table t (n int)')), '25006')
    await client.query('rollback')
    await client.query('insert into things values (901)')
    await client.query('delete from things where id > 800')
  })

  it('literals that cannot be read pin their client, and no other', async () => {
    const [odd, even] = [await served.connect(), await served.connect()]
    await odd.query('set standard_conforming_strings = off')
    assert.equal(isReplica(await portOf(odd)), false)
    assert.ok(isReplica(await portOf(even)))
    await odd.query("set default_transaction_isolation = 'serializable'")
    await even.query("set default_transaction_isolation = 'serializable'")
    assert.equal(isReplica(await portOf(even)), false)
    await even.query('reset default_transaction_isolation')
    assert.ok(isReplica(await portOf(even)))
  })

  it('a cancel request ends the statement of its client and no other', async () => {
    const [a, b] = [await served.connect(), await served.connect()]
    const { processID, secretKey } = a as unknown as { processID: number; secretKey: number }
    const cancel = (secret: number) =>
      new Promise<void>((resolve) => {
        const socket = net.connect(served.port, '127.0.0.1', () => {
          const request = Buffer.alloc(16)
          for (const [i, value] of [16, 80877102, processID, secret].entries()) request.writeInt32BE(value, i * 4)
          socket.write(request)
        })
        socket.resume()
        socket.once('close', () => resolve())
      })
    const [slow, other] = [codeOf(a.query('select pg_sleep(30)')), codeOf(b.query('select pg_sleep(1)'))]
    await eventually('it runs', () => served.proxy.sides.isBusy)
    await cancel(secretKey ^ 1)
    await new Promise((resolve) => setTimeout(resolve, 100))
    await cancel(secretKey)
    assert.equal(await slow, '57014')
    assert.equal(await other, 'none')
    for (let i = 0; i < 20; i++) assert.equal(await codeOf(b.query('select 1')), 'none')
  })

  it('cursors read portions, in a transaction', async () => {
    const client = await served.connect()
    await client.query('begin read only')
    const cursor = client.query(new Cursor('select id from things order by id'))
    assert.equal((await cursor.read(10)).length, 10)
    assert.equal((await cursor.read(10))[0].id, 11)
    await cursor.close()
    await client.query('commit')
  })

  it('large values pass both ways', async () => {
    const client = await served.connect()
    const big = 'x'.repeat(20 << 20)
    const { rows } = await client.query('select length($1::text) as n, $1::text as back', [big])
    assert.equal(rows[0].n, big.length)
    assert.equal(rows[0].back.length, big.length)
  })

  it('more clients than connections wait their turn', async () => {
    await endProxies()
    served = await proxyOn(cluster, { options: { defaultPoolSize: 2 } })
    const clients = await Promise.all(Array.from({ length: 20 }, () => served.connect()))
    const done = await Promise.all(clients.map((client) => client.query('select pg_sleep(0.05)')))
    assert.equal(done.length, 20)
    const transactions = clients.slice(0, 5).map(async (client, i) => {
      await client.query('begin')
      await client.query('update things set name = $1 where id = 50', [`t${i}`])
      await client.query('commit')
    })
    await Promise.all(transactions)
  })

  it('a client that waits for a connection too long is told so', async () => {
    await endProxies()
    served = await proxyOn(cluster, { options: { defaultPoolSize: 1, queryWaitTimeoutMillis: 200 } })
    const [a, b] = [await served.connect(), await served.connect()]
    await a.query('begin')
    assert.equal(await codeOf(b.query("update things set name = 'x' where id = 60")), '53300')
    await a.query('commit')
    assert.equal(await codeOf(b.query("update things set name = 'x' where id = 60")), 'none')
  })
})
