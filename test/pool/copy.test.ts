import assert from 'node:assert/strict'
import pg from 'pg'
import { createPool, PgherdError } from '../../src/index.js'
import { abilitiesOf } from '../../src/pg/abilities.js'

/** The installed pg without one member. */
function without(part: string, name: string): typeof pg {
  // Hidden by a value is not missing: the chain has to be cut.
  const hide = (target: object) => new Proxy(target, { has: (it, key) => key !== name && Reflect.has(it, key) })
  const bare = (it: object, whole: string) => (part === whole ? hide(it) : it)
  function Client(config: object) {
    const client = new pg.Client(config) as unknown as { connection: object }
    client.connection = bare(client.connection, 'connection')
    return bare(client, 'client')
  }
  Client.prototype = bare(pg.Client.prototype, 'Client.prototype')
  function Pool(options: object) {
    return bare(new pg.Pool(options), 'pool')
  }
  Pool.prototype = bare(pg.Pool.prototype, 'Pool.prototype')
  return { ...pg, Client, Pool } as unknown as typeof pg
}

describe('the copy of pg that a pool is built on', () => {
  const members: readonly (readonly [part: string, name: string])[] = [
    ['Client.prototype', 'query'],
    ['Client.prototype', 'getTransactionStatus'],
    ['Client.prototype', '_errorAllQueries'],
    ['Client.prototype', '_handleErrorMessage'],
    ['client', '_txStatus'],
    ['client', '_queryQueue'],
    ['connection', 'bind'],
    ['Pool.prototype', 'end'],
    ['pool', '_pendingQueue'],
  ]
  for (const [part, name] of members) {
    it(`without ${part}.${name} it is refused, by name`, () => {
      assert.throws(
        () => createPool(without(part, name)),
        (error: PgherdError) => {
          assert.ok(error instanceof PgherdError)
          assert.deepEqual([error.code, error.outcome], ['PGHERD_CONFIG', 'not-sent'])
          assert.ok(error.message.includes(`has no ${part}.${name}:`), error.message)
          return true
        }
      )
    })
  }

  it('what is no copy of pg is refused, too', () => {
    for (const copy of [{}, { Client: pg.Client }, null, undefined, 'pg']) {
      assert.throws(() => createPool(copy as never), { code: 'PGHERD_CONFIG', message: /has no (?:Pool|Client)/ })
    }
  })

  it('its version is told, where it was loaded as a module', () => {
    const { end } = pg.Client.prototype
    try {
      Reflect.deleteProperty(pg.Client.prototype, 'end')
      assert.throws(() => createPool(pg), {
        message: /^this copy of pg, version 8\.\d+\.\d+, has no Client.prototype.end:/,
      })
    } finally {
      pg.Client.prototype.end = end
    }
  })

  it('the installed one is taken, and can send two statements at a time', () => {
    assert.deepEqual(abilitiesOf(pg), { pipelines: true, speaks: true })
  })

  it('one from before 8.23 is taken, and cannot', () => {
    class Client extends pg.Client {
      constructor(config?: pg.ClientConfig) {
        super(config)
        Reflect.set(this, 'pipeline', undefined)
      }
    }
    assert.deepEqual(abilitiesOf({ ...pg, Client }), { pipelines: false, speaks: true })
  })
})
