// What console.log and JSON show of topology(), explain() and the pool itself: text that can be read, values that are plain, and
// never a password.

import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { Pool } from '../../src/index.js'

const SECRET = 'very-secret'
const URL = `postgres://app:${SECRET}@127.0.0.1:1,127.0.0.1:2/shop`
// biome-ignore lint/complexity/useRegexLiterals: a control character in a literal is an error of its own.
const ESCAPE = new RegExp('\\x1b\\[')

describe('inspected and serialised', () => {
  const pools: Pool[] = []
  const make = (options: ConstructorParameters<typeof Pool>[0] = { connectionString: URL }) => {
    const pool = new Pool(options)
    pools.push(pool)
    return pool
  }
  /** Everybody has refused. */
  async function looked(pool: Pool): Promise<Pool> {
    await pool.ready({ timeoutMillis: 200 }).catch(() => {})
    return pool
  }
  afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.end())))

  it('topology(): a table, with why', async () => {
    const pool = await looked(make())
    const text = inspect(pool.topology())
    assert.match(text, /^Topology \{ primary unknown, epoch 0 \}\n {2}node +role +state/)
    assert.match(text, /\n {2}127\.0\.0\.1:1 +– +down .*\n {2}└ connect ECONNREFUSED 127\.0\.0\.1:1\n/)
    assert.doesNotMatch(text, ESCAPE)
  })

  it('topology(): colours where inspect has them, and a name only beyond its depth', async () => {
    const picture = (await looked(make())).topology()
    assert.match(inspect(picture, { colors: true }), ESCAPE)
    assert.match(inspect({ one: { two: picture } }, { depth: 5 }), /127\.0\.0\.1:2/)
    assert.equal(inspect({ one: { two: picture } }, { depth: 1 }), '{ one: { two: [Topology] } }')
  })

  it('explain(): where, why, and why not the others', async () => {
    const text = inspect((await looked(make())).explain('insert into t values (1)'))
    assert.match(
      text,
      /^Explanation write → nowhere now\n {2}INSERT changes rows\nnot on\n {2}127\.0\.0\.1:1 {2}it is down/i
    )
  })

  it('they are plain values all the same', async () => {
    const pool = await looked(make())
    for (const value of [pool.topology(), pool.explain('select 1')]) {
      const plain = JSON.parse(JSON.stringify(value))
      assert.deepEqual({ ...value }, plain)
      assert.deepEqual(structuredClone(value), plain)
      assert.deepEqual(Object.getOwnPropertySymbols({ ...value }), [])
      assert.deepEqual(value, plain)
      assert.ok(!JSON.stringify(value).includes(SECRET))
    }
  })

  it('the pool: where it leads, how full it is, and no password', async () => {
    for (const options of [
      { connectionString: URL },
      { host: '127.0.0.1', port: 1, user: 'app', password: SECRET },
      { host: '127.0.0.1', port: 1, user: 'app', password: () => SECRET, ssl: { key: SECRET } },
    ]) {
      const pool = await looked(make(options))
      for (const depth of [0, 2, 10, null]) {
        const text = inspect({ pool }, { depth, showHidden: true })
        assert.ok(!text.includes(SECRET), text)
      }
      assert.match(inspect(pool), /^Pool \{\s+hosts: \[ '127\.0\.0\.1:1'.*\btotalCount: 0.*Topology \{/s)
      assert.ok(!inspect(pool.view({ maxLagMillis: 1 })).includes(SECRET))
    }
  })

  it('the class, a class of one’s own, and a pool that has ended', async () => {
    class Mine extends Pool {}
    assert.match(inspect(Pool), /Pool/)
    assert.doesNotThrow(() => inspect(Pool.prototype))
    assert.equal(inspect(Object.create(Pool.prototype)), 'Pool {}')
    const mine = new Mine({ connectionString: URL })
    assert.match(inspect(mine), /^Mine \{/)
    await mine.end()
    assert.match(inspect(mine), /^Mine \{/)
  })
})
