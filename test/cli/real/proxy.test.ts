// `pgherd proxy` as a program: it listens, serves, tells its metrics, reads its files anew, and ends as signals ask.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { pgherd, type Running, start, urlOf } from '../../support/cli.js'
import { type Cluster, startCluster } from '../../support/cluster.js'
import { eventually } from '../../support/pools.js'

describe('pgherd proxy', () => {
  let cluster: Cluster
  let directory = ''
  let running: Running | null = null

  before(async () => {
    cluster = await startCluster({ replicas: 1, auth: 'scram-sha-256' })
    directory = mkdtempSync(join(tmpdir(), 'pgherd-proxy-'))
  })
  afterEach(() => {
    running?.child.kill('SIGKILL')
  })
  after(async () => {
    rmSync(directory, { recursive: true })
    await cluster.destroy()
  })

  async function serve(...words: readonly string[]): Promise<number> {
    running = start(['proxy', '--listen', '127.0.0.1:0', ...words, urlOf(cluster)])
    await running.shows(/listens on 127\.0\.0\.1:\d+/)
    return Number(/listens on 127\.0\.0\.1:(\d+)/.exec(running.out())?.[1])
  }

  const clientOf = async (port: number, password = 'app'): Promise<pg.Client> => {
    const client = new pg.Client({ host: '127.0.0.1', port, user: 'app', database: 'app', password })
    client.on('error', () => {})
    await client.connect()
    return client
  }

  it('serves by a userlist, reads it anew at SIGHUP, tells its metrics, and SIGTERM waits for a transaction', async () => {
    const file = join(directory, 'users.txt')
    writeFileSync(file, '"app" "app"\n')
    const port = await serve('--auth-file', file, '--metrics', '127.0.0.1:0')
    const client = await clientOf(port)
    assert.equal((await client.query('select 1 as one')).rows[0].one, 1)
    await running?.shows(/metrics on http/)
    const url = /metrics on (http\S+)/.exec(running?.out() ?? '')?.[1] ?? ''
    const text = await (await fetch(url)).text()
    assert.match(text, /^pgherd_proxy_clients 1$/m)
    assert.match(text, /^pgherd_proxy_primary 1$/m)
    await assert.rejects(clientOf(port, 'other'), { code: '28P01' })
    writeFileSync(file, '"app" "other"\n')
    running?.child.kill('SIGHUP')
    await running?.shows(/reloaded/)
    await assert.rejects(clientOf(port, 'app'), { code: '28P01' })
    await client.query('begin')
    running?.child.kill('SIGTERM')
    await running?.shows(/waits for 1 clients/)
    await assert.rejects(clientOf(port, 'other'))
    await client.query('create table if not exists last (a int)')
    await client.query('commit')
    const ended = await running?.ran
    assert.equal(ended?.code, 0, ended?.err)
    await client.end().catch(() => {})
  })

  it('reads its configuration anew: what may change changes, what may not is named, and a broken file changes nothing', async () => {
    const file = join(directory, 'pgherd.ini')
    const write = (...lines: readonly string[]) =>
      writeFileSync(file, ['[pgherd]', 'auth_type = trust', ...lines].join('\n'))
    write('max_client_conn = 1', 'pool_mode = statement', 'drain_timeout = 1')
    const port = await serve('--config', file, '--drain', '0')
    const admin = new pg.Client({ host: '127.0.0.1', port, user: 'app', database: 'pgherd' })
    const warnings: string[] = []
    admin.on('error', () => {})
    admin.on('notice', ({ message = '' }) => warnings.push(message))
    await admin.connect()
    const config = async (key: string) => {
      const { rows } = await admin.query('show config')
      const { value, changeable, source } = rows.find((row) => row.key === key)
      return [value, changeable, source]
    }
    const client = await clientOf(port)
    assert.deepEqual(await config('max_client_conn'), ['1', 'yes', 'file'])
    assert.deepEqual(await config('drain_timeout'), ['0', 'yes', 'flag'])
    assert.doesNotMatch((await config('url')).join(), /app:app/)
    await assert.rejects(client.query('begin'), { code: '0A000' })
    await assert.rejects(clientOf(port), { code: '53300' })

    write('max_client_conn = 2', 'max_lag = 5', 'drain_timeout = 2')
    running?.child.kill('SIGHUP')
    await running?.shows(/reloaded; max_lag cannot change while the proxy runs/)
    assert.deepEqual(await config('max_lag'), ['1000', 'no', 'default'])
    const second = await clientOf(port)
    await client.query('begin')
    await client.query('commit')

    write('max_client_con = 3')
    await assert.rejects(admin.query('reload'), /not reloaded.*line 3: there is no key max_client_con: did you mean/)
    assert.deepEqual(await config('max_client_conn'), ['2', 'yes', 'file'])
    write('max_client_conn = 3', 'default_pool_size = 1', 'max_packet_size = 100000')
    assert.equal((await admin.query('reload')).command, 'RELOAD')
    assert.match(warnings.join(), /max_packet_size cannot change/)
    const third = await clientOf(port)
    // One connection for all of them.
    await third.query('begin')
    const waits = client.query('select 1 as one /* pgherd:primary */')
    const ahead = second.query('/* pgherd:primary */ select 2 as two')
    await eventually('both may have run or wait', async () => {
      const { rows } = await admin.query('show pools')
      return rows.some((row) => Number(row.cl_waiting) > 0)
    })
    await third.query('commit')
    await Promise.all([waits, ahead])
    const { rows } = await admin.query('show pools')
    for (const row of rows) assert.ok(Number(row.sv_active) + Number(row.sv_idle) <= 1, JSON.stringify(row))
    await Promise.all([client, second, third, admin].map((each) => each.end()))
    running?.child.kill('SIGTERM')
    assert.equal((await running?.ran)?.code, 0)
    assert.doesNotMatch(running?.out() ?? '', /app:app/)
  })

  it('SIGINT ends at once, also what waits for a transaction, and what is wrong is one line', async () => {
    await serve('--trust')
    running?.child.kill('SIGINT')
    assert.equal((await running?.ran)?.code, 0)
    const port = await serve('--trust', '--drain', '3600')
    await (await clientOf(port)).query('begin')
    running?.child.kill('SIGTERM')
    await running?.shows(/waits for 1 clients/)
    running?.child.kill('SIGINT')
    assert.equal((await running?.ran)?.code, 0)
    const missing = await pgherd(['proxy', '--auth-file', join(directory, 'nothing'), urlOf(cluster)])
    assert.equal(missing.code, 2)
    assert.match(missing.err, /nothing cannot be read: ENOENT/)
    const bad = join(directory, 'bad.txt')
    writeFileSync(bad, 'app app\n')
    const wrong = await pgherd(['proxy', '--auth-file', bad, urlOf(cluster)])
    assert.equal(wrong.code, 2)
    assert.match(wrong.err, /line 1 of the userlist/)
  })

  it('an address that is in use: exit code 1', async () => {
    const port = await serve('--trust')
    const second = await pgherd(['proxy', '--trust', '--listen', `127.0.0.1:${port}`, urlOf(cluster)])
    assert.equal(second.code, 1)
    assert.match(second.err, /EADDRINUSE/)
    await eventually('the first goes on', async () => {
      const client = await clientOf(port)
      await client.end()
      return true
    })
  })
})
