// Clients of other languages: each program says what it is answered, on the primary itself and through the proxy. Both say the same. What is
// not installed is skipped, with the reason.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Cluster, startCluster } from '../../support/cluster.js'
import { endProxies, proxyOn, type Served } from '../../support/proxies.js'

const run = promisify(execFile)
const JAR = '/usr/share/java/postgresql.jar'
const here = (file: string) => fileURLToPath(new URL(`../../../../test/proxy/real/languages/${file}`, import.meta.url))

interface Language {
  readonly name: string
  readonly command: readonly string[]
  /** Fails where it is not installed. */
  readonly probe: readonly string[]
  readonly from: string
}

const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3'
const python = (name: string, module: string, file: string): Language => ({
  name,
  command: [PYTHON, here(file)],
  probe: [PYTHON, '-c', `import ${module}`],
  from: `python3-${module}`,
})

const LANGUAGES: readonly Language[] = [
  python('psycopg2', 'psycopg2', 'psycopg_2.py'),
  python('psycopg 3', 'psycopg', 'psycopg_3.py'),
  python('asyncpg', 'asyncpg', 'asyncpg_.py'),
  { name: "Ruby's pg", command: ['ruby', here('ruby_pg.rb')], probe: ['ruby', '-e', 'require "pg"'], from: 'ruby-pg' },
  {
    name: 'pgjdbc',
    command: ['java', '-cp', JAR, here('Jdbc.java')],
    probe: ['sh', '-c', `test -f ${JAR} && javac -version`],
    from: 'libpostgresql-jdbc-java default-jdk-headless',
  },
]

describe('clients of other languages through the proxy', () => {
  let cluster: Cluster
  let served: Served

  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    const client = await cluster.connect(0, 'postgres')
    await client.query('grant create on schema public to app')
    await client.end()
    await cluster.caughtUp(1, 0)
    served = await proxyOn(cluster)
    await served.ready(1)
  })
  after(async () => {
    await endProxies()
    await cluster.destroy()
  })

  for (const { name, command, probe, from } of LANGUAGES) {
    it(name, async function () {
      this.timeout(120_000)
      const [program = '', ...words] = probe
      if (
        await run(program, words).then(
          () => false,
          () => true
        )
      ) {
        console.log(`      ${name} is not installed (Debian: apt-get install ${from})`)
        this.skip()
      }
      const [first = '', ...rest] = command
      const said = async (host: string, port: number) =>
        (await run(first, [...rest, host, String(port)], { timeout: 60_000, maxBuffer: 1 << 24 })).stdout.split('\n')
      const { host, port } = cluster.node(0)
      const direct = await said(host, port)
      const before = served.proxy.router.decisions
        .list()
        .reduce((sum, { count, role }) => sum + (role === 'replica' ? count : 0), 0)
      assert.deepEqual(await said('127.0.0.1', served.port), direct)
      const after = served.proxy.router.decisions
        .list()
        .reduce((sum, { count, role }) => sum + (role === 'replica' ? count : 0), 0)
      assert.ok(after > before, 'replicas have served reads')
    })
  }
})
