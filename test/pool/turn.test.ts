import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { Client } from 'pg'
import { cancel } from '../../src/pg/cancel.js'
import { free } from '../../src/pg/turn.js'
import { ManualClock } from '../support/manual-clock.js'

/** What pg.native's client shows: no `connection`, no `readyForQuery`. */
class NativeClient extends EventEmitter {
  readonly _queryable = true
  readonly _queryQueue: unknown[] = []
  busy = false
  cancelled = 0
  readonly native = {
    cancel: (done: () => void) => {
      this.cancelled++
      done()
    },
  }

  _hasActiveQuery(): boolean {
    return this.busy
  }
}

describe('a native client', () => {
  it('is free when it says that it has no active query, or when it has none left', async () => {
    const client = new NativeClient()
    await free(client as unknown as Client)
    client.busy = true
    const freed = free(client as unknown as Client)
    client.busy = false
    client.emit('drain')
    await freed
    assert.equal(client.listenerCount('drain'), 0)
  })

  it('cancels by itself', async () => {
    const client = new NativeClient()
    const nobody = class {
      constructor() {
        assert.fail('no connection is needed')
      }
    }
    await cancel(client as unknown as Client, nobody as never, {}, new ManualClock())
    assert.equal(client.cancelled, 1)
  })
})
