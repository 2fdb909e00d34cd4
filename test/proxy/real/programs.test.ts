// PostgreSQL's own programs through the proxy: psql, pgbench in its three forms, pg_dump byte for byte. Where they are not installed the
// tests are skipped, with the reason.

import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { type Cluster, startCluster } from '../../support/cluster.js'
import { endProxies, proxyOn, type Served } from '../../support/proxies.js'

function isMissing(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return false
  } catch {
    return true
  }
}

interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

describe('programs through the proxy', () => {
  let cluster: Cluster
  let served: Served
  const running = new Set<ChildProcess>()

  before(async () => {
    cluster = await startCluster({ replicas: 1 })
  })
  beforeEach(async () => {
    served = await proxyOn(cluster)
    await served.ready(1)
  })
  afterEach(async () => {
    for (const child of running) child.kill('SIGKILL')
    await endProxies()
  })
  after(() => cluster.destroy())

  /** `port`: of a server, else of the proxy. */
  function run(
    program: string,
    words: readonly string[],
    { input = '', port = served.port, env = {} } = {}
  ): Promise<Ran> {
    const where = {
      PGHOST: '127.0.0.1',
      PGPORT: String(port),
      PGUSER: 'app',
      PGDATABASE: 'app',
      PGCONNECT_TIMEOUT: '10',
    }
    const child = spawn(program, words, { env: { ...process.env, ...where, ...env } })
    running.add(child)
    let [out, err] = ['', '']
    child.stdout.on('data', (bytes) => {
      out += bytes
    })
    child.stderr.on('data', (bytes) => {
      err += bytes
    })
    child.stdin.end(input)
    return new Promise((resolve) => {
      child.on('close', (code) => {
        running.delete(child)
        resolve({ code, out, err })
      })
    })
  }

  const needs = (program: string, context: Mocha.Context) => {
    if (!isMissing(program)) return
    console.log(`      ${program} is not installed (Debian: apt-get install postgresql-client postgresql-contrib)`)
    context.skip()
  }

  const PSQL = ['-X', '-v', 'ON_ERROR_STOP=1', '-At']

  it('psql: a script with COPY both ways, variables, a transaction and an error', async function () {
    needs('psql', this)
    const input = `
      create table copied (id int, note text);
      \\copy copied from stdin
1\tone
2\ttwo, with a comma
\\.
      begin; insert into copied values (3, 'three'); savepoint s; insert into copied values (4, 'four'); rollback to s; commit;
      select count(*) from copied;
      copy copied to stdout;
      select 'a' as x \\gset
      \\echo :x
      \\d copied
    `
    const { code, out, err } = await run('psql', PSQL, { input })
    assert.equal(code, 0, err)
    assert.match(out, /\n3\n1\tone\n2\ttwo, with a comma\n3\tthree\na\nid\|integer/)
    const failed = await run('psql', PSQL, { input: 'select 1/0;' })
    assert.equal(failed.code, 3)
    assert.match(failed.err, /division by zero/)
  })

  it('psql: the same as the server says, statement by statement', async function () {
    needs('psql', this)
    const input =
      "select * from generate_series(1, 5000) n;\nselect null, 1.5, now()::date - now()::date, '{1,2}'::int[];\nshow server_version;\n"
    const [direct, through] = [
      await run('psql', PSQL, { input, port: cluster.node(0).port }),
      await run('psql', PSQL, { input }),
    ]
    assert.equal(through.code, 0, through.err)
    assert.equal(through.out, direct.out)
  })

  it('psql: a COPY that fails leaves the session in step', async function () {
    needs('psql', this)
    const input = 'create table strict (id int);\ncopy strict from stdin;\n1\nnot a number\n3\n\\.\nselect 42;\n'
    const { out, err } = await run('psql', ['-X', '-At'], { input })
    assert.match(err, /invalid input syntax/)
    assert.match(out, /\n42\n$/)
  })

  it('psql: the console', async function () {
    needs('psql', this)
    const shows = [
      'nodes',
      'pools',
      'clients',
      'servers',
      'databases',
      'users',
      'routes',
      'stats',
      'lists',
      'config',
      'state',
      'version',
      'help',
    ]
    const input = shows.map((what) => `show ${what};\n`).join('')
    const { code, out, err } = await run('psql', PSQL, { input, env: { PGDATABASE: 'pgherd' } })
    assert.equal(code, 0, err)
    assert.match(
      out,
      new RegExp(`127.0.0.1:${cluster.node(0).port}\\|127.0.0.1\\|${cluster.node(0).port}\\|primary\\|primary`)
    )
    assert.match(err, /Console usage/)
    const wrong = await run('psql', PSQL, { input: 'drop table x;', env: { PGDATABASE: 'pgherd' } })
    assert.match(wrong.err, /invalid command 'drop'/)
  })

  it('the console speaks the extended protocol', async () => {
    const client = await served.connect({ database: 'pgherd' })
    const { rows } = await client.query({ name: 'n', text: 'show version', values: [] })
    assert.deepEqual(rows, [{ version: 'pgherd test' }])
    await client.query('pause')
    const other = await served.connect()
    let isDone = false
    const asked = other.query('select 1').then(() => {
      isDone = true
    })
    await new Promise((resolve) => setTimeout(resolve, 200))
    assert.equal(isDone, false)
    await client.query('resume')
    await asked
  })

  for (const mode of ['simple', 'extended', 'prepared']) {
    it(`pgbench: TPC-B-like and select-only, ${mode}; the money is all there`, async function () {
      needs('pgbench', this)
      const made = await run('pgbench', ['-i', '-s', '1', '-q'])
      assert.equal(made.code, 0, made.err)
      for (const more of [[], ['-S']]) {
        const { code, out, err } = await run('pgbench', ['-n', '-M', mode, '-c', '6', '-t', '40', ...more])
        assert.equal(code, 0, err)
        assert.match(out, /number of transactions actually processed: 240\/240/)
      }
      const client = await cluster.connect(0)
      const { rows } = await client.query(
        'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history) as same, (select count(*)::int from pgbench_history) as n'
      )
      assert.deepEqual(rows, [{ same: true, n: 240 }])
    })
  }

  it('pg_dump: byte for byte what the server gives', async function () {
    needs('pg_dump', this)
    const words = ['--no-sync', '--schema=public']
    const direct = await run('pg_dump', words, { port: cluster.node(0).port })
    if (/server version mismatch/.test(direct.err)) {
      console.log('      this pg_dump is older than the server')
      this.skip()
    }
    const through = await run('pg_dump', words)
    // Newer versions write a key of their own, by chance, into each dump.
    const plain = (text: string) => text.replace(/^\\(?:un)?restrict .*$/gm, '')
    assert.equal(through.code, 0, through.err)
    assert.equal(plain(through.out), plain(direct.out))
  })
})
