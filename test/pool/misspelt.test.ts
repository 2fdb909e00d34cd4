// Names that are no options have no effect, and the process says so, once. A wrong value of an option of a call is a TypeError with
// a code. No server takes part.

import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { Pool, type StatementOptions } from 'pgherd'

const NOWHERE = { host: '203.0.113.1', user: 'app' }

/** The texts of the warnings that come of it. */
async function warnings(work: () => unknown): Promise<string[]> {
  const texts: string[] = []
  const listener = ({ code, message, name }: Error & { code?: string }) => {
    if (code === 'PGHERD_OPTION') texts.push(`${name}: ${message}`)
  }
  process.on('warning', listener)
  await work()
  await turn()
  process.off('warning', listener)
  return texts
}

/** As JavaScript has it: no compiler looks at the names. */
const untyped = (options: unknown) => options as never

describe('a misspelt option', () => {
  const pools: Pool[] = []
  const made = (options: object) => pools.push(new Pool(untyped({ ...NOWHERE, ...options })))
  afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.end())))

  const told = (call: string, asked: string, meant: string) =>
    `PgherdWarning: ${call} was given ${asked}, which is no option and has no effect: did you mean ${meant}?`

  it('of the pool is told', async () => {
    const texts = await warnings(() =>
      made({ maxLagMilis: 5, readYourWrite: 'off', max: 3, idleTimeoutMillis: 1, appVersion: 2 })
    )
    assert.deepEqual(texts, [
      told('new Pool()', 'maxLagMilis', 'maxLagMillis'),
      told('new Pool()', 'readYourWrite', 'readYourWrites'),
    ])
  })

  it('in a URL is told, and the URL is not shown', async () => {
    const url =
      'postgres://app:secret@203.0.113.1,203.0.113.2/shop?max_lag_millis=5&sslmode=disable&connect_timeout=5&whenStales=error'
    const texts = await warnings(() => made({ connectionString: url }))
    assert.deepEqual(texts, [
      told('new Pool()', 'max_lag_millis', 'maxLagMillis'),
      told('new Pool()', 'whenStales', 'whenStale'),
    ])
  })

  it("is none where every name is pg's or pgherd's", async () => {
    const url = 'postgres://app@203.0.113.1,203.0.113.2/shop?maxLagMillis=5&target_session_attrs=any&require_auth=none'
    assert.deepEqual(
      await warnings(() => made({ connectionString: url, application_name: 'x', options: '-c a=b' })),
      []
    )
  })

  it('of a statement, a view, a transaction and ready() is told once', async () => {
    const pool = new Pool(NOWHERE)
    const texts = await warnings(async () => {
      for (let i = 0; i < 3; i++) {
        pool.explain(untyped({ text: 'select 1', maxLag: 5, values: [], name: 'a', rowMode: 'array', comment: 'mine' }))
        pool.view(untyped({ routes: 'primary' }))
        await pool.ready(untyped({ replica: 1, primary: false }))
        await assert.rejects(pool.transaction(async () => {}, untyped({ readonly: true, isolation: 'none' })))
      }
    })
    assert.deepEqual(texts, [
      told('query()', 'maxLag', 'maxLagMillis'),
      told('view()', 'routes', 'route'),
      told('ready()', 'replica', 'replicas'),
      told('transaction()', 'readonly', 'readOnly'),
    ])
    await pool.end()
  })

  it('has a wrong value: a TypeError with a code and an outcome', async () => {
    const pool = new Pool(NOWHERE)
    const wrong: readonly object[] = [{ route: 'somewhere' }, { maxLagMillis: '5' }, { signal: {} }]
    for (const options of wrong) {
      const statement = { text: 'select 1', ...(options as StatementOptions) }
      await assert.rejects(pool.query(statement), { name: 'TypeError', code: 'PGHERD_CONFIG', outcome: 'not-sent' })
    }
    const refused = { name: 'TypeError', code: 'PGHERD_CONFIG', outcome: 'not-sent' }
    assert.throws(() => pool.view(untyped({ route: 'somewhere' })), refused)
    assert.throws(() => pool.session(untyped({})), refused)
    assert.throws(() => pool.resume('nowhere:1'), refused)
    await assert.rejects(pool.transaction(untyped('begin')), refused)
    await assert.rejects(
      pool.transaction(async () => {}, untyped({ isolation: 'best' })),
      refused
    )
    await pool.end()
  })
})
