import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { makeCertificates } from '../support/certificates.js'
import { type Cluster, type ClusterOptions, type Role, startCluster } from '../support/cluster.js'
import { childrenOf, findProcess } from '../support/cluster-processes.js'
import type { Remains } from '../support/cluster-runner.js'
import { until } from '../support/cluster-wait.js'

let cluster: Cluster

/** Started before, destroyed after the tests of the suite it is called in. */
function useCluster(options: ClusterOptions): void {
  before(async () => {
    const began = performance.now()
    cluster = await startCluster(options)
    console.log(`      (PostgreSQL ${cluster.major} started in ${Math.round(performance.now() - began)} ms)`)
  })
  after(() => cluster.destroy())
}

async function ask(index: number, text: string, user?: Role): Promise<unknown[]> {
  const client = await cluster.connect(index, user)
  try {
    const { rows } = await client.query<unknown[]>({ text, rowMode: 'array' })
    return rows.map((row) => row[0])
  } finally {
    await client.end()
  }
}

const recovering = async (index: number) => (await ask(index, 'select pg_is_in_recovery()'))[0]
const mark = (index: number, value: string) => ask(index, `insert into mark values ('${value}')`)
const marks = (index: number) => ask(index, 'select value from mark order by value')

/** Back to node 0 as the primary of all others, and an empty table. */
async function restore(): Promise<void> {
  if (await recovering(0)) await cluster.switchover(0)
  await ask(0, 'drop table if exists mark')
  await ask(0, 'create table mark (value text)')
  await Promise.all([cluster.caughtUp(1, 0), cluster.caughtUp(2, 0)])
}

describe('a test cluster', () => {
  useCluster({ settings: { log_statement: 'ddl', work_mem: '5MB' } })
  beforeEach(restore)

  it('is a primary with replicas that stream', async () => {
    assert.deepEqual(
      cluster.nodes.map(({ index, name, running }) => ({ index, name, running })),
      [0, 1, 2].map((index) => ({ index, name: `n${index}`, running: true }))
    )
    assert.deepEqual(await Promise.all([0, 1, 2].map(recovering)), [false, true, true])
    assert.deepEqual(await ask(2, `select current_setting('cluster_name')`), ['n2'])
    assert.deepEqual(await ask(0, `select application_name from pg_stat_replication order by 1`), ['n1', 'n2'])
    await cluster.streaming(0, 2)
    assert.throws(() => cluster.node(3), RangeError)
  })

  it('has its settings on every node', async () => {
    for (const index of [0, 1, 2]) assert.deepEqual(await ask(index, 'show work_mem'), ['5MB'])
    assert.match(cluster.log(0), /create table mark/)
  })

  it('has roles that may do what theirs may', async () => {
    assert.deepEqual(await ask(0, 'select current_database()'), ['app'])
    await ask(0, 'create table of_monitor (n int)', 'monitor')
    await ask(0, 'drop table of_monitor', 'monitor')
    assert.deepEqual(await ask(0, 'select count(client_addr)::int from pg_stat_replication', 'app'), [0])
    assert.deepEqual(await ask(0, 'select count(client_addr)::int from pg_stat_replication', 'monitor'), [2])
    assert.deepEqual(await ask(0, 'select rolreplication from pg_roles where rolname = current_user', 'replicator'), [
      true,
    ])
  })

  it('stops and starts a node', async () => {
    await cluster.stop(1, 'fast')
    assert.deepEqual([cluster.node(1).running, cluster.node(1).pid], [false, undefined])
    await cluster.start(1)
    await cluster.stop(1, 'immediate')
    await cluster.start(1)
    const client = await cluster.connect(1)
    const stopped = cluster.stop(1, 'smart')
    await until('a smart stop to begin', () => /received smart shutdown request/.test(cluster.log(1)))
    assert.equal((await client.query('select 1')).rowCount, 1)
    await client.end()
    await stopped
    await cluster.start(1)
    await cluster.streaming(0, 2)
  })

  it('kills a node with its children', async () => {
    const pid = cluster.node(0).pid ?? 0
    const family = [pid, ...childrenOf(pid)]
    assert.ok(family.length > 4)
    await cluster.kill(0)
    assert.deepEqual(family.filter(findProcess), [])
    await cluster.start(0)
    await cluster.streaming(0, 2)
  })

  it('kills the postmaster alone', async () => {
    const client = await cluster.connect(2)
    const [backend] = (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows
    const busy = client.query('select count(*) from generate_series(1, 5000000)').catch(() => undefined)
    await until('the query to run', async () => {
      const active = `select count(*)::int from pg_stat_activity where query like '%generate_series%' and state = 'active'`
      return (await ask(2, `${active} and pid = ${backend?.pid}`))[0] === 1
    })
    await cluster.killPostmaster(2)
    assert.equal(cluster.node(2).running, false)
    assert.ok(findProcess(backend?.pid ?? 0), 'a busy backend goes on')
    await cluster.start(2)
    await busy
    await cluster.streaming(0, 2)
  })

  it('freezes a node and thaws it', async () => {
    const client = await cluster.connect(1)
    await cluster.freeze(1)
    let answered = false
    const answer = client.query('select 1').then(() => {
      answered = true
    })
    await mark(0, 'while n1 was frozen')
    await cluster.caughtUp(2, 0)
    assert.equal(answered, false)
    await cluster.thaw(1)
    await answer
    await cluster.caughtUp(1, 0)
    assert.deepEqual(await marks(1), ['while n1 was frozen'])
  })

  it('crashes a node, which recovers under the same postmaster', async () => {
    const { pid } = cluster.node(0)
    const client = await cluster.connect(0)
    const lost = new Promise((resolve) => client.once('end', resolve))
    await cluster.crash(0)
    await lost
    await until('recovery', () => ask(0, 'select 1').catch(() => undefined))
    assert.match(cluster.log(0), /was terminated by signal 9/)
    assert.equal(cluster.node(0).pid, pid)
    await cluster.streaming(0, 2)
  })

  it('promotes a replica; the others and the killed primary follow across the timeline', async () => {
    await mark(0, 'before')
    await Promise.all([cluster.caughtUp(1, 0), cluster.caughtUp(2, 0)])
    await cluster.kill(0)
    await cluster.promote(1)
    await mark(1, 'after')
    await Promise.all([cluster.follow(2, 1), cluster.follow(0, 1)])
    await Promise.all([cluster.caughtUp(0, 1), cluster.caughtUp(2, 1)])
    for (const index of [0, 1, 2]) assert.deepEqual(await marks(index), ['after', 'before'])
    assert.deepEqual(await Promise.all([0, 1, 2].map(recovering)), [true, false, true])
    await cluster.follow(2, 1) // it does already
  })

  it('lets a replica follow a replica', async () => {
    await cluster.follow(2, 1)
    await cluster.streaming(1, 1)
    await mark(0, 'through n1')
    await cluster.caughtUp(1, 0)
    await cluster.caughtUp(2, 1)
    assert.deepEqual(await marks(2), ['through n1'])
    await cluster.follow(2, 0)
    await cluster.streaming(0, 2)
  })

  it('triggers a promotion without awaiting it, tells who has diverged, and clones them anew', async () => {
    await cluster.unplug(1)
    await mark(0, 'lost')
    await cluster.caughtUp(2, 0)
    await cluster.triggerPromotion(1)
    await until('the promotion', async () => !(await recovering(1)))
    await mark(1, 'kept')
    await mark(0, 'lost too')
    await assert.rejects(cluster.follow(2, 1), /n2 has diverged from n1 .*reclone/)
    await assert.rejects(cluster.follow(0, 1), /n0 has diverged from n1 .*reclone/)
    await cluster.reclone(0, 1)
    await cluster.reclone(2, 0)
    await cluster.caughtUp(0, 1)
    await cluster.caughtUp(2, 0)
    for (const index of [0, 1, 2]) assert.deepEqual(await marks(index), ['kept'])
    await cluster.follow(2, 1)
  })

  it('refuses to follow from one of two promoted nodes to the other', async () => {
    await cluster.kill(0)
    await Promise.all([cluster.promote(1), cluster.promote(2)])
    await assert.rejects(cluster.follow(2, 1), /n2 has diverged from n1 .*reclone/)
    await cluster.follow(0, 1)
    await cluster.reclone(2, 1)
    await cluster.streaming(1, 2)
  })

  it('switches over', async () => {
    await mark(0, 'before')
    await cluster.switchover(2)
    await cluster.streaming(2, 2)
    await mark(2, 'after')
    await Promise.all([cluster.caughtUp(0, 2), cluster.caughtUp(1, 2)])
    for (const index of [0, 1, 2]) assert.deepEqual(await marks(index), ['after', 'before'])
    await assert.rejects(cluster.switchover(2), /n2 is the primary already/)
  })

  it('delays replay', async () => {
    await cluster.delay(1, 600_000)
    await mark(0, 'late')
    await cluster.caughtUp(2, 0)
    assert.deepEqual(await marks(1), [])
    await cluster.delay(1, 0)
    await cluster.caughtUp(1, 0)
    assert.deepEqual(await marks(1), ['late'])
  })

  it('cuts replication and heals it', async () => {
    await cluster.cut(1)
    await mark(0, 'late')
    await cluster.caughtUp(2, 0)
    assert.deepEqual(await marks(1), [])
    await cluster.streaming(0, 2) // nobody has noticed
    await cluster.freeze(1)
    await cluster.thaw(1)
    assert.deepEqual(await marks(1), [])
    await cluster.heal(1)
    await cluster.caughtUp(1, 0)
    assert.deepEqual(await marks(1), ['late'])
  })

  it('unplugs a replica and replugs it', async () => {
    await cluster.unplug(1)
    await cluster.streaming(0, 1)
    await mark(0, 'late')
    await cluster.caughtUp(2, 0)
    assert.deepEqual(await marks(1), [])
    await cluster.replug(1, 0)
    await cluster.caughtUp(1, 0)
    assert.deepEqual(await marks(1), ['late'])
  })

  it('pauses replay and resumes it', async () => {
    await cluster.pauseReplay(1)
    await mark(0, 'late')
    await cluster.caughtUp(2, 0)
    assert.deepEqual(await marks(1), [])
    await cluster.resumeReplay(1)
    await cluster.caughtUp(1, 0)
    assert.deepEqual(await marks(1), ['late'])
  })

  it('reloads settings', async () => {
    await ask(1, `alter system set work_mem = '7MB'`, 'postgres')
    await cluster.reload(1)
    assert.deepEqual(await ask(1, 'show work_mem'), ['7MB'])
    await ask(1, 'alter system reset work_mem', 'postgres')
    await cluster.reload(1)
  })
})

describe('a test cluster with options', () => {
  useCluster({
    replicas: 1,
    tls: true,
    auth: 'scram-sha-256',
    synchronous: 'ANY 1 (*)',
    walSegmentMegabytes: 1,
    ...(process.platform === 'linux' ? { hosts: ['127.0.0.1', '127.0.0.2'] } : {}),
  })

  it('speaks TLS with a certificate for the names it is reached by', async () => {
    for (const index of [0, 1]) {
      assert.ok(cluster.config(index).ssl)
      assert.deepEqual(await ask(index, 'select ssl from pg_stat_ssl where pid = pg_backend_pid()'), [true])
    }
    const { ssl, ...plain } = cluster.config(0)
    await connects({ ...plain, host: 'localhost', ssl })
    await connects({ ...plain, ssl: { ...ssl, servername: 'db.test' } })
    await assert.rejects(connects({ ...plain, ssl: { ...ssl, servername: 'other.test' } }), /altnames|other\.test/)
    await assert.rejects(connects({ ...plain, ssl: { ca: makeCertificates(['localhost'], ['127.0.0.1']).authority } }))
    await assert.rejects(connects(plain), { code: '28000' })
  })

  it('asks for a password', async () => {
    await assert.rejects(connects({ ...cluster.config(0), password: 'wrong' }), { code: '28P01' })
  })

  it('replicates synchronously, from a promoted node too', async () => {
    const sync = `select sync_state from pg_stat_replication`
    await until('synchronous replication', async () => (await ask(0, sync, 'postgres'))[0] === 'quorum')
    await cluster.switchover(1)
    await until('synchronous replication', async () => (await ask(1, sync, 'postgres'))[0] === 'quorum')
    await cluster.cut(0)
    const client = await cluster.connect(1)
    let committed = false
    const created = client.query('create table waits ()').then(() => {
      committed = true
    })
    await until('the commit to wait', async () => {
      const waiting = `select count(*)::int from pg_stat_activity where wait_event = 'SyncRep'`
      return (await ask(1, waiting, 'postgres'))[0] === 1
    })
    assert.equal(committed, false)
    await cluster.heal(0)
    await created
  })

  it('has the asked addresses and WAL segments', async () => {
    assert.deepEqual(await ask(0, 'show wal_segment_size'), ['1MB'])
    assert.deepEqual(await ask(1, 'show listen_addresses'), [cluster.node(1).host])
  })
})

async function connects(config: pg.ClientConfig): Promise<void> {
  const client = new pg.Client(config)
  client.on('error', () => undefined)
  try {
    await client.connect()
  } finally {
    await client.end()
  }
}

describe('test certificates', () => {
  it('are signed by their authority and name the server', () => {
    const made = makeCertificates(['localhost', 'db.test'], ['127.0.0.1', '::1'])
    const [authority, server] = [new X509Certificate(made.authority), new X509Certificate(made.certificate)]
    assert.ok(server.verify(authority.publicKey))
    assert.ok(server.checkIssued(authority))
    assert.deepEqual([authority.ca, server.ca], [true, false])
    for (const name of ['localhost', 'db.test']) assert.equal(server.checkHost(name), name)
    for (const address of ['127.0.0.1', '::1']) assert.equal(server.checkIP(address), address)
    assert.equal(server.checkHost('other.test'), undefined)
  })
})

describe('the end of a test cluster', () => {
  it('comes whatever state its nodes are in, and only once', async () => {
    const ending = await startCluster({ replicas: 2, auth: 'md5' })
    const client = await ending.connect(0)
    await ending.connect(1)
    const hanging = client.query('select pg_sleep(100)').catch((error: unknown) => error)
    const pids = ending.nodes.flatMap(({ pid = 0 }) => [pid, ...childrenOf(pid)])
    await ending.freeze(0)
    await ending.cut(1)
    await ending.kill(2)
    await Promise.all([ending.destroy(), ending.destroy()])
    assert.ok((await hanging) instanceof Error)
    assert.deepEqual(pids.filter(findProcess), [])
    assert.equal(existsSync(ending.node(0).directory), false)
  })

  it('comes when it cannot start', async () => {
    const listener = createServer()
    const port = await new Promise<number>((resolve) => {
      listener.listen(0, '127.0.0.1', () => {
        const address = listener.address()
        resolve(typeof address === 'object' && address ? address.port : 0)
      })
    })
    await assert.rejects(startCluster({ replicas: 0, ports: [port] }), /n0 did not start[\s\S]*Address already in use/)
    await new Promise((resolve) => listener.close(resolve))
  })

  it('comes when the process of the tests is killed', () => endsWith('SIGKILL'))

  it('comes when the process of the tests ends by a signal, an exit, an exception', () =>
    Promise.all((['SIGTERM', 'exit', 'throw'] as const).map(endsWith)))
})

/** Resolves when nothing is left of a process that did not destroy its cluster. */
async function endsWith(ending: 'SIGKILL' | 'SIGTERM' | 'exit' | 'throw'): Promise<void> {
  const script = fileURLToPath(new URL('../support/cluster-runner.js', import.meta.url))
  const runner = spawn(process.execPath, [script, ending], { stdio: ['ignore', 'pipe', 'ignore'] })
  const exited = new Promise((resolve) => runner.once('exit', resolve))
  const { directory, pids }: Remains = JSON.parse(await firstLine(runner.stdout))
  assert.ok(pids.length > 5)
  if (ending === 'SIGKILL' || ending === 'SIGTERM') runner.kill(ending)
  await exited
  await until('the servers to end', () => !pids.some(findProcess))
  await until('the directory to vanish', () => !existsSync(directory))
}

async function firstLine(stream: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: stream })) return line
  throw new Error('the runner printed nothing')
}
