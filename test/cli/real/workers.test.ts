// `pgherd proxy --workers`: processes that serve the same clients, seen from outside. What one is asked acts on all, a cancel request finds
// its client, a worker that dies is replaced, and nothing is left behind.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { slotOf } from '../../../src/proxy/pids.js'
import { type Running, start, urlOf } from '../../support/cli.js'
import { type Cluster, startCluster } from '../../support/cluster.js'
import { childrenOf, findProcess } from '../../support/cluster-processes.js'
import { eventually } from '../../support/pools.js'

type Known = pg.Client & { readonly processID: number; readonly secretKey: number }

describe('pgherd proxy --workers', () => {
  let cluster: Cluster
  let directory = ''
  let running: Running
  let port = 0
  const clients: pg.Client[] = []

  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    directory = mkdtempSync(join(tmpdir(), 'pgherd-workers-'))
  })
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.end().catch(() => {})))
    if (running.child.exitCode !== null) return
    running.child.kill('SIGINT')
    await running.ran
  })
  after(async () => {
    rmSync(directory, { recursive: true })
    await cluster.destroy()
  })

  async function serve(...words: readonly string[]): Promise<void> {
    running = start(['proxy', '--listen', '127.0.0.1:0', ...words, urlOf(cluster)])
    await running.shows(/listens on 127\.0\.0\.1:\d+, with \d workers/)
    port = Number(/listens on 127\.0\.0\.1:(\d+)/.exec(running.out())?.[1])
  }

  async function connect(database = 'app', more: pg.ClientConfig = {}): Promise<Known> {
    const client = new pg.Client({ host: '127.0.0.1', port, user: 'app', database, ...more })
    client.on('error', () => {})
    await client.connect()
    clients.push(client)
    return client as Known
  }

  const children = () => childrenOf(running.child.pid ?? -1)

  /** One at each of two workers. */
  async function two(): Promise<readonly [Known, Known]> {
    const found: Known[] = []
    await eventually('a client at each worker', async () => {
      const client = await connect()
      found[slotOf(client.processID)] = client
      return found[0] !== undefined && found[1] !== undefined
    })
    return [found[0] as Known, found[1] as Known]
  }

  function cancel({ processID, secretKey }: Known, secret = secretKey): Promise<void> {
    return new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => {
        const request = Buffer.alloc(16)
        for (const [i, value] of [16, 80877102, processID, secret].entries()) request.writeInt32BE(value, i * 4)
        socket.write(request)
      })
      socket.resume()
      socket.once('close', () => resolve())
    })
  }

  const codeOf = (asked: Promise<unknown>) =>
    asked.then(
      () => 'none',
      (error: { readonly code?: string }) => error.code ?? String(error)
    )

  it('clients spread, and the console shows and sums those of all', async () => {
    await serve('--trust', '--workers', '2', '--metrics', '127.0.0.1:0')
    assert.equal(children().length, 2)
    const [a, b] = await two()
    for (const client of [a, b]) await client.query('select 1')
    const admin = await connect('pgherd')
    const rows = async (text: string) => (await admin.query(text)).rows
    const shown = await rows('show clients')
    assert.equal(shown.length, clients.length - 1)
    assert.equal(new Set(shown.map(({ id }) => id)).size, shown.length)
    assert.deepEqual(new Set(shown.map(({ worker }) => worker)), new Set(['1', '2']))
    const servers = await rows('show servers')
    assert.deepEqual(new Set(servers.map(({ worker }) => worker)), new Set(['1', '2']))
    const lists = new Map((await rows('show lists')).map(({ list, items }) => [list, Number(items)]))
    assert.equal(lists.get('used_clients'), shown.length)
    assert.deepEqual([lists.get('databases'), lists.get('users'), lists.get('nodes')], [1, 1, 2])
    const [stats] = await rows('show stats')
    assert.equal(Number(stats.total_query_count), 2)
    assert.equal(Number(stats.total_client_login_count), shown.length)
    assert.equal((await rows('show nodes')).length, 2)
    const ids = [a, b].map(({ processID }) => Number(shown.find((row) => Number(row.remote_pid) === processID)?.id))
    const url = /metrics on (http\S+)/.exec(running.out())?.[1] ?? ''
    const text = await (await fetch(url)).text()
    assert.match(text, new RegExp(`^pgherd_proxy_clients ${shown.length}$`, 'm'))
    assert.match(text, /^pgherd_proxy_workers 2$/m)

    assert.equal((await admin.query('reload')).command, 'RELOAD')
    for (const id of ids) await admin.query(`kill_client ${id}`)
    await eventually('both are gone', async () => (await rows('show clients')).length === shown.length - 2)
    await assert.rejects(admin.query(`kill_client ${ids[0]}`), /there is no client/)
    await admin.query('reconnect')
    await eventually('idle server connections are gone', async () =>
      (await rows('show servers')).every(({ state }) => state === 'dead')
    )
  })

  it('a cancel request ends the statement of its own client, at whichever worker it arrives', async () => {
    await serve('--trust', '--workers', '2')
    const [a, b] = await two()
    const watcher = new pg.Client(cluster.config(0, 'postgres'))
    await watcher.connect()
    clients.push(watcher)
    const sleeps = async (name: string) => {
      const text = `select 1 from pg_stat_activity where query like '%to sleep: ${name}' and state = 'active'`
      return (await watcher.query(text)).rows.length === 1
    }
    const sleep = (client: pg.Client, name: string) =>
      codeOf(client.query(`/* pgherd:primary */ select pg_sleep(60) -- to sleep: ${name}`))
    let isOver = false
    const beside = sleep(b, 'beside').finally(() => {
      isOver = true
    })
    await eventually('the one beside runs', () => sleeps('beside'))
    for (let round = 0; round < 6; round++) {
      const slow = sleep(a, `round ${round}`)
      await eventually('it runs', () => sleeps(`round ${round}`))
      await cancel(a, a.secretKey ^ 1)
      // Connections come to the workers in turn: with one more in between, every second request comes to the other one.
      if (round % 2 === 0) await cancel(a, a.secretKey ^ 1)
      assert.ok(await sleeps(`round ${round}`))
      await cancel(a)
      assert.equal(await slow, '57014')
    }
    assert.equal(isOver, false)
    await cancel(b)
    assert.equal(await beside, '57014')
  })

  it('PAUSE and RESUME are for all, also for a worker that comes later', async () => {
    await serve('--trust', '--workers', '2')
    const [a, b] = await two()
    const admin = await connect('pgherd')
    await admin.query('pause')
    const asked = [a, b].map((client) => client.query('select 1'))
    const waiting = async () =>
      (await admin.query('show clients')).rows.filter(({ state }) => state === 'waiting').length
    await eventually('both wait', async () => (await waiting()) === 2)
    await admin.query('resume')
    await Promise.all(asked)
    await admin.query('pause')
    process.kill(victimOf(a, children()), 'SIGKILL')
    await eventually('the other one has a client that waits', async () => {
      // The console may have been at the one that died.
      const client = await connect().catch(() => null)
      if (client === null || slotOf(client.processID) !== slotOf(a.processID)) return false
      const waits = client.query('select 1')
      const another = await connect('pgherd')
      await eventually('it waits', async () => {
        return (await another.query('show clients')).rows.some(
          ({ state, remote_pid }) => state === 'waiting' && Number(remote_pid) === client.processID
        )
      })
      await another.query('resume')
      await waits
      return true
    })
  })

  it('a worker that is killed is replaced; clients of the other notice nothing', async () => {
    await serve('--trust', '--workers', '2')
    const [a, b] = await two()
    const before = children()
    await b.query('begin')
    await b.query('create temp table kept (a int)')
    const admin = await connect('pgherd')
    // The console may be at the one that dies.
    const [first] = (await admin.query('show clients')).rows
    assert.ok(first !== undefined)
    let isLost = false
    a.once('end', () => {
      isLost = true
    })
    const victim = victimOf(a, before)
    process.kill(victim, 'SIGKILL')
    await running.shows(new RegExp(`worker 1 \\(process ${victim}\\) has ended: SIGKILL. Another takes its place`))
    await eventually('its client is gone', () => isLost)
    await b.query('insert into kept values (1)')
    assert.equal((await b.query('select a from kept')).rows.length, 1)
    await b.query('commit')
    await eventually('a client at the new one', async () => {
      const client = await connect().catch(() => null)
      return client !== null && slotOf(client.processID) === 0
    })
    assert.equal(children().length, 2)
    assert.ok(!children().includes(victim))
  })

  it('of the connections that come while a worker dies each is served or closed', async () => {
    await serve('--trust', '--workers', '2')
    await two()
    const [victim] = children()
    assert.ok(victim !== undefined)
    let [isReplaced, served] = [false, 0]
    const hung: string[] = []
    const come = async () => {
      while (!isReplaced) {
        const client = new pg.Client({
          ...{ host: '127.0.0.1', port, user: 'app', database: 'app' },
          connectionTimeoutMillis: 20_000,
        })
        client.on('error', () => {})
        try {
          await client.connect()
          await client.query('select 1')
          served++
        } catch (error) {
          if (/timeout/i.test(String(error))) hung.push(String(error))
        }
        await client.end().catch(() => {})
      }
    }
    const all = Array.from({ length: 8 }, come)
    await eventually('clients come', () => served > 20)
    process.kill(victim, 'SIGKILL')
    await eventually(
      'another took its place',
      async () => {
        const client = await connect('pgherd').catch(() => null)
        const rows = (await client?.query('show clients').catch(() => null))?.rows ?? []
        return children().length === 2 && new Set(rows.map(({ worker }) => worker)).size === 2
      },
      30_000
    )
    isReplaced = true
    await Promise.all(all)
    assert.deepEqual(hung, [])
  })

  it('SIGINT ends what SIGTERM waits for', async () => {
    await serve('--trust', '--workers', '2', '--drain', '3600')
    const [a] = await two()
    await a.query('begin')
    running.child.kill('SIGTERM')
    await running.shows(/waits for \d+ clients/)
    running.child.kill('SIGINT')
    assert.equal((await running.ran).code, 0)
  })

  /** The process that has the client. */
  function victimOf({ processID }: Known, pids: readonly number[]): number {
    // Workers are forked in the order of their slots.
    const victim = [...pids].sort((x, y) => x - y)[slotOf(processID)]
    assert.ok(victim !== undefined)
    return victim
  }

  it('SIGHUP reloads all, unknown users look like known ones everywhere, limits are shared', async () => {
    const [users, file] = [join(directory, 'users.txt'), join(directory, 'pgherd.ini')]
    const write = (secret: string, ...lines: readonly string[]) => {
      writeFileSync(users, `"app" "${secret}"\n`)
      writeFileSync(file, ['[pgherd]', `auth_file = ${users}`, 'workers = 2', ...lines].join('\n'))
    }
    write('one', 'max_client_conn = 2')
    await serve('--config', file)
    const salts = await Promise.all(Array.from({ length: 6 }, () => saltOf('nothing')))
    assert.equal(new Set(salts).size, 1)
    const first = [await connect('app', { password: 'one' }), await connect('app', { password: 'one' })]
    assert.deepEqual(new Set(first.map(({ processID }) => slotOf(processID))), new Set([0, 1]))
    for (let i = 0; i < 2; i++) await assert.rejects(connect('app', { password: 'one' }), { code: '53300' })
    write('two', 'max_client_conn = 100', 'workers_ = 3')
    running.child.kill('SIGHUP')
    await running.shows(/not reloaded, what was in force stays: .*there is no key workers_/)
    write('two', 'max_client_conn = 100')
    running.child.kill('SIGHUP')
    await running.shows(/^reloaded$/m)
    for (let i = 0; i < 4; i++) {
      await assert.rejects(connect('app', { password: 'one' }), { code: '28P01' })
      await connect('app', { password: 'two' })
    }
  })

  /** What the proxy challenges a user of this name with. */
  function saltOf(user: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(port, '127.0.0.1')
      let said = ''
      socket.on('data', (chunk) => {
        const isFirst = said === ''
        said += chunk.toString('latin1')
        const [, salt] = /,s=([^,]*),i=/.exec(said) ?? []
        if (salt !== undefined) {
          socket.destroy()
          resolve(salt)
        } else if (isFirst) {
          const first = Buffer.from('n,,n=,r=abcdefghijklmnopqrstuvwx')
          const name = Buffer.from('SCRAM-SHA-256\0')
          const head = Buffer.alloc(9)
          head.write('p')
          head.writeInt32BE(8 + name.length + first.length, 1)
          head.writeInt32BE(first.length, 5)
          socket.write(Buffer.concat([head.subarray(0, 5), name, head.subarray(5), first]))
        }
      })
      socket.once('error', reject)
      const body = Buffer.from(`user\0${user}\0\0`)
      const head = Buffer.alloc(8)
      head.writeInt32BE(8 + body.length)
      head.writeInt32BE(196608, 4)
      socket.write(Buffer.concat([head, body]))
    })
  }

  it('SIGTERM waits for a transaction, and leaves nothing behind', async () => {
    await serve('--trust', '--workers', '2')
    const [a] = await two()
    await a.query('begin')
    const pids = children()
    assert.equal(pids.length, 2)
    running.child.kill('SIGTERM')
    // As a terminal or systemd does: every process of the group gets it.
    for (const pid of pids) process.kill(pid, 'SIGTERM')
    await running.shows(/waits for \d+ clients/)
    await a.query('create table if not exists last (a int)')
    await a.query('commit')
    const { code, err } = await running.ran
    assert.equal(code, 0, err)
    assert.deepEqual(
      pids.filter((pid) => findProcess(pid) !== undefined),
      []
    )
    await assert.rejects(connect(), { code: 'ECONNREFUSED' })
  })

  it('SHUTDOWN in the console ends all at once, and so does the end of the parent', async () => {
    await serve('--trust', '--workers', '2')
    await two()
    const admin = await connect('pgherd')
    await admin.query('shutdown')
    assert.equal((await running.ran).code, 0)
    await serve('--trust', '--workers', '2')
    const pids = children()
    running.child.kill('SIGKILL')
    await eventually('its workers are gone', () => pids.every((pid) => findProcess(pid) === undefined))
    await running.ran
  })

  it('an address that is in use: one line, exit code 1, and nothing is left', async () => {
    await serve('--trust', '--workers', '2')
    const second = start(['proxy', '--trust', '--workers', '2', '--listen', `127.0.0.1:${port}`, urlOf(cluster)])
    const { code, err } = await second.ran
    assert.equal(code, 1, err)
    assert.match(err, /^pgherd: .*EADDRINUSE.*\n$/)
    const client = await connect()
    assert.equal((await client.query('select 1 as one')).rows[0].one, 1)
  })
})
