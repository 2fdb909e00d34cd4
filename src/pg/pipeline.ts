// Two statements in one trip: a question of ours before or behind the caller's statement, on a connection that has no other user
// meanwhile. The only file that knows how pg pipelines (`pipeline`, 8.23 and later): the flag is set while the pair is sent, and
// while pg goes on from the first answer to the second. At any other time end() and query_timeout are those of a plain client.
// Each has a Sync of its own, so what comes second is another transaction, and sees what the first has committed.

import type { Client } from 'pg'
import { ask, type Told } from './own-query.js'

/** What pg has and its published types do not name. The native client has none of it. */
interface Internals {
  pipeline?: boolean
  readonly _activeQuery?: unknown
  readonly _sentQueryQueue?: readonly unknown[]
  readonly _queryQueue: readonly unknown[]
  readonly readyForQuery: boolean
  readonly connection?: { readonly stream?: { cork?(): void; uncork?(): void } }
}

/** Clients on which any number of statements are under way at once, until further notice. */
const open = new WeakSet<object>()

/** From now on it is pg's pipeline, or a plain client again. */
export function pipelines(client: Client, is: boolean): void {
  const internals = client as unknown as Internals
  internals.pipeline = is
  if (is) open.add(client)
  else open.delete(client)
}

export interface Pair {
  /** Sends a question of ours, next in line. */
  ask(text: string, told: Told): void
  /** Everything is sent. */
  sent(): void
}

/** Opens a pair; null: this client cannot do it, or a hook has left something under way on it. */
export function pairOn(client: Client): Pair | null {
  const internals = client as unknown as Internals
  if (internals._sentQueryQueue === undefined || internals.pipeline === undefined) return null
  if (!internals.readyForQuery || internals._queryQueue.length > 0) return null
  const before = internals.pipeline
  const restore = () => {
    internals.pipeline = before || open.has(client)
  }
  const stream = internals.connection?.stream
  internals.pipeline = true
  // One packet, where there is a packet.
  stream?.cork?.()
  return {
    ask: (text, told) => ask(client, text, told),
    sent() {
      stream?.uncork?.()
      // A connection that has just been made is not ready yet: pg takes the first up when it returns from telling us.
      if (internals._activeQuery) restore()
      else process.nextTick(restore)
    },
  }
}

/** An answer is complete, which pg has not heard yet: it is to go on to the second of a pair. */
export function proceed(client: Client): void {
  const internals = client as unknown as Internals
  if (!internals._sentQueryQueue?.length || internals.pipeline) return
  internals.pipeline = true
  process.nextTick(() => {
    internals.pipeline = open.has(client)
  })
}
