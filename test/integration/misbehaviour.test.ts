// What the functions of an application do wrong ends no process, and keeps no statement waiting.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type Cluster, startCluster } from '../support/cluster.js'
import {
  type Expectation,
  FUNCTIONS,
  type FunctionName,
  type Result,
  WAYS,
  type WayName,
} from '../support/misbehaviour.js'

describe('functions of the application that misbehave', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 2, auth: 'scram-sha-256' })
    const admin = await cluster.connect(0)
    await admin.query('create table items (id int)')
    await admin.end()
    const root = await cluster.connect(0, 'postgres')
    // Without it no address of a replica is to be seen.
    await root.query('grant pg_read_all_stats to app')
    await root.end()
    await Promise.all([cluster.caughtUp(1, 0), cluster.caughtUp(2, 0)])
  })
  after(() => cluster.destroy())

  it('what pg and Node leave uncaught loses no client and no statement, where the process goes on', async () => {
    const { code, stdout, stderr } = await run(cluster, 'uncaught', [])
    assert.equal(code, 0, stderr)
    const lines = stdout.split('\n').filter((line) => line.startsWith('{'))
    assert.equal(lines.length, 20, stderr)
    for (const line of lines) {
      const { name, answered, left, uncaught, told } = JSON.parse(line)
      assert.deepEqual([answered, left], [12, 0], line)
      const isUncaught = name !== 'submittable' && name !== 'a class of client'
      assert.equal(uncaught, isUncaught, line)
      if (name === 'a handler of abort') assert.deepEqual(told, { message: 'This operation was aborted' }, line)
      if (isUncaught) continue
      // Something may have been sent before it threw; of what submits itself at once the socket knows that nothing was.
      const outcomes = name === 'submittable' ? ['unknown', 'not-sent'] : ['unknown']
      assert.equal(told.message, 'thrown by the application')
      assert.ok(outcomes.includes(told.outcome), line)
    }
  }).timeout(60_000)

  for (const name of Object.keys(FUNCTIONS) as FunctionName[]) {
    describe(name, () => {
      let ended: { readonly code: unknown; readonly stderr: string }
      const results = new Map<string, Result>()
      before(async function () {
        this.timeout(60_000)
        const { stdout, ...end } = await run(cluster, 'misbehaving', [name])
        ended = end
        for (const line of stdout.split('\n')) {
          if (!line.startsWith('{')) continue
          const { way, ...result } = JSON.parse(line) as Result & { readonly way: string }
          results.set(way, result)
        }
      })
      const expectation: Expectation = FUNCTIONS[name]
      for (const way of WAYS) {
        if (expectation.not?.includes(way)) continue
        it(way, () => {
          const result = results.get(way)
          assert.ok(result, `the process ended, or waited: ${ended.code} ${ended.stderr}`)
          assertAsExpected(expectation, way, result)
        })
      }
      it('the process got to its end', () => assert.deepEqual(ended.code, 0, ended.stderr))
    })
  }
})

function assertAsExpected({ kind, fine = [] }: Expectation, way: WayName, result: Result): void {
  const shown = JSON.stringify(result)
  const { statements, warnings } = result
  assert.ok(warnings.filter((code) => code === 'PGHERD_APPLICATION').length <= 1, shown)
  assert.ok(!warnings.includes('PGHERD_DEFECT'), shown)
  if (way === 'ends the pool') return
  const isHarmless = fine.includes(way)
  if (kind === 'decides') {
    assert.ok(
      statements.every(({ ok }) => ok),
      shown
    )
    assert.equal(warnings.includes('PGHERD_APPLICATION'), !isHarmless, shown)
    return
  }
  for (const statement of statements) {
    assert.equal(statement.ok, isHarmless, shown)
    if (statement.ok) continue
    const isThrown = way.startsWith('throws') || way === 'rejects'
    if (isThrown && !way.endsWith('undefined') && !way.endsWith('null')) assert.ok(statement.own, shown)
    const carries = !/frozen|string|read|proxy/.test(way)
    if (carries) assert.equal(statement.outcome, 'not-sent', shown)
  }
}

interface Ended {
  readonly code: unknown
  readonly stdout: string
  readonly stderr: string
}

function run(cluster: Cluster, program: string, args: readonly string[]): Promise<Ended> {
  const script = fileURLToPath(new URL(`../support/${program}.js`, import.meta.url))
  const { user, password, database } = cluster.config(0)
  const env = {
    ...process.env,
    NODE_OPTIONS: '',
    PGUSER: user,
    PGPASSWORD: String(password ?? ''),
    PGDATABASE: database,
    PGHOST: cluster.nodes.map(({ host }) => host).join(','),
    PGPORT: cluster.nodes.map(({ port }) => port).join(','),
  }
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], { env, timeout: 50_000 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : (error.code ?? error.signal), stdout, stderr })
    )
  })
}
