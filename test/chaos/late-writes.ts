// A cable is pulled while writes are under way, and plugged in again after they were given up: which of them happen all the same?
//   unshare --net node dist/test/chaos/late-writes.js [tls]
// To be run in a network of its own, as it makes one more of them, with what relays connections there. Prints the answer as JSON.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readlinkSync } from 'node:fs'
import pg from 'pg'
import { Pool } from '../../src/index.js'
import { startCluster } from '../support/cluster.js'
import { until } from '../support/cluster-wait.js'

const [mode] = process.argv.slice(2)
const OURS = '10.99.1.1'
const THEIRS = '10.99.0.2'

const run = (...words: string[]) => execFileSync(words[0] ?? '', words.slice(1), { stdio: 'pipe' })

/** Another network, and two cables to it: one is pulled, the other leads on to the server. */
async function farNetwork(): Promise<{ readonly holder: ChildProcess; there(...words: string[]): unknown }> {
  const holder = spawn('unshare', ['--net', 'sleep', '120'], { stdio: 'ignore' })
  const here = readlinkSync('/proc/self/ns/net')
  await until('the other network', () => readlinkSync(`/proc/${holder.pid}/ns/net`) !== here)
  const there = (...words: string[]) => run('nsenter', '-t', `${holder.pid}`, '-n', ...words)
  run('ip', 'link', 'set', 'lo', 'up')
  for (const i of [0, 1]) {
    run('ip', 'link', 'add', `near${i}`, 'type', 'veth', 'peer', 'name', `far${i}`)
    run('ip', 'link', 'set', `far${i}`, 'netns', `${holder.pid}`)
    run('ip', 'addr', 'add', `10.99.${i}.1/30`, 'dev', `near${i}`)
    run('ip', 'link', 'set', `near${i}`, 'up')
    there('ip', 'addr', 'add', `10.99.${i}.2/30`, 'dev', `far${i}`)
    there('ip', 'link', 'set', `far${i}`, 'up')
    // Else the kernel would keep what it cannot send until it knows the neighbour again.
    const [, mac = ''] = /ether ([0-9a-f:]+)/.exec(String(there('ip', 'link', 'show', `far${i}`))) ?? []
    run('ip', 'neigh', 'replace', `10.99.${i}.2`, 'lladdr', mac, 'dev', `near${i}`, 'nud', 'permanent')
  }
  return { holder, there }
}

const RELAY = `const net = require('node:net'); const [host, port] = process.argv.slice(1)
net.createServer((client) => {
  const server = net.connect(Number(port), host)
  client.pipe(server).pipe(client)
  for (const [from, to] of [[client, server], [server, client]]) from.on('error', () => to.destroy())
}).listen(5432, '${THEIRS}', () => console.log('listening'))`

const { holder, there } = await farNetwork()
const cluster = await startCluster({ replicas: 1, tls: mode === 'tls', hosts: [OURS, '127.0.0.1'] })
const words = ['-t', `${holder.pid}`, '-n', process.execPath, '-e', RELAY, OURS, `${cluster.node(0).port}`]
const relay = spawn('nsenter', words, { stdio: ['ignore', 'pipe', 'inherit'] })
try {
  await once(relay.stdout ?? relay, 'data')
  const { user, password, database, ssl: trusted } = cluster.config(0, 'monitor')
  const ssl = trusted && { ...trusted, checkServerIdentity: () => undefined }
  const options = { user, password, database, ssl }
  const hosts = { host: [THEIRS, '127.0.0.1'], port: [5432, cluster.node(1).port] }
  const pool = new Pool({ ...options, ...hosts, silentMillis: 500 })
  pool.on('error', () => undefined)
  await pool.ready()
  await pool.query('create table ledger (who text)')
  const control = new pg.Client({ ...options, host: THEIRS, port: 5432 })
  control.on('error', () => undefined)
  await control.connect()

  there('ip', 'link', 'set', 'far0', 'down')
  control.query("insert into ledger values ('control')").catch(() => undefined)
  const outcome = await pool.query("insert into ledger values ('pgherd')").then(
    () => 'acknowledged',
    (error: { readonly outcome?: string }) => error.outcome
  )
  // As whoever closes a connection does: what was written is still delivered.
  ;(control as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
  there('ip', 'link', 'set', 'far0', 'up')

  const admin = await cluster.connect(0, 'postgres')
  const happened = async () => (await admin.query<{ who: string }>('select who from ledger')).rows.map(({ who }) => who)
  await until('what was only closed to happen', async () => (await happened()).includes('control'), { millis: 60_000 })
  await pool.query("insert into ledger values ('later')")
  console.log(JSON.stringify({ outcome, happened: (await happened()).sort() }))
  await pool.end()
} finally {
  await cluster.destroy()
  relay.kill()
  holder.kill()
}
