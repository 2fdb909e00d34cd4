// One statement of query() on one client: sent, with a question before or behind it where one is needed, answered, and its client
// given back. Chooses no client.

import type { PoolClient } from 'pg'
import { parseLsn } from '../core/cluster/lsn.js'
import { isPromoted, type ServerSession } from '../core/session/server-session.js'
import { errorOf } from '../core/thrown.js'
import type { Attempt } from '../herd/herd.js'
import type { Notice } from '../pg/internals.js'
import type { Pair } from '../pg/pipeline.js'
import { withFreeName } from '../pg/prepared.js'
import { writtenOn } from '../pg/socket.js'
import { isSubmittable } from '../pg/submittable.js'
import { isFree, parsedAs, free as whenReady } from '../pg/turn.js'
import { COMMITTED, INSERTED, REPLAYED } from '../router/questions.js'
import type { Statement } from '../router/statement.js'
import { onAbort } from '../runtime/abort.js'
import { beforeOn, judge } from './judging.js'
import type { Parts, Sending } from './parts.js'
import { type Shown, shownBy } from './proof.js'
import { notOnPrimary, staleError } from './refusals.js'
import { CLOSED, LOST, type Site, STRAIGHT, type Straight } from './site.js'

export interface Ends {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

export class Dispatch {
  readonly #site: Site
  readonly #client: PoolClient
  readonly #session: ServerSession
  readonly #place: Attempt
  readonly #statement: Statement
  readonly #reading: boolean
  readonly #sending: Sending | undefined

  constructor(
    site: Site,
    client: PoolClient,
    session: ServerSession,
    place: Attempt,
    statement: Statement,
    reading: boolean,
    sending: Sending | undefined
  ) {
    this.#site = site
    this.#client = client
    this.#session = session
    this.#place = place
    this.#statement = statement
    this.#reading = reading
    this.#sending = sending
  }

  /** It must not run here, or not any more: an abort, a promotion. Gives the error, and has the client released. */
  refusal(): { readonly error: unknown } | null {
    const { signal } = this.#statement
    if (signal?.aborted || this.#sending?.isClosed) {
      this.#client.release()
      return { error: signal?.aborted ? signal.reason : new Error(CLOSED) }
    }
    if (this.#reading && this.#site.hasLeft(this.#place, this.#session)) {
      return { error: this.#site.leaves(this.#client, this.#place) }
    }
    // Promoted since it was looked at: a write that insists on a replica would be done here.
    if (!this.#reading && isPromoted(this.#place.node, this.#session)) {
      this.#client.release()
      return { error: notOnPrimary(this.#site.node.key) }
    }
    return null
  }

  /** `pair`: the statement is one of two in a trip; null: it goes alone. */
  run(pair: Pair | null, ends: Ends): void {
    if (this.#sending === undefined) this.#send(pair, ends)
    else this.#overheard(this.#sending.notice, ends, (inner) => this.#send(pair, inner))
  }

  #send(pair: Pair | null, { resolve, reject }: Ends): void {
    const [client, session, place, statement] = [this.#client, this.#session, this.#place, this.#statement]
    const reading = this.#reading
    const { signal, query } = statement
    let settled = false
    let isGivenUp = false
    let lost: (() => void) | null = null
    const before = beforeOn(client)
    // The caller is answered at once; the client comes back when its server has said what became of the statement.
    const giveUp = (reason: unknown) => {
      isGivenUp = true
      void this.#site.cancel(client)
      reject(reason)
    }
    const settle = (error: Error | null | undefined, result: unknown) => {
      if (settled) return
      settled = true
      lost?.()
      client.removeListener('error', settle)
      unsubscribe?.()
      detach?.()
      if (error && place.phase === 'handed') judge(error, place, statement, client, session, before)
      session.ends()
      const over = (broken: boolean) => {
        // Its server says so with the reply to the first statement that it ends after its promotion.
        if (reading && this.#site.hasLeft(place, session)) return reject(this.#site.leaves(client, place))
        if (!error) this.#settled()
        try {
          // A cancel request may come late: the next statement must not be the one that it hits.
          client.release(broken || isGivenUp ? true : (error as Error))
        } finally {
          if (error) reject(error)
          else resolve(result)
        }
      }
      // Acknowledged: the caller is told together with the position behind it.
      if (!error && session.capturing && !isGivenUp) session.trails(over)
      // The server says behind its error whether it still is what it was.
      else if (error && reading && session.standby === true && typeof place.source === 'object')
        whenReady(client).then(() => over(false))
      else over(false)
    }
    client.once('error', settle)
    const unsubscribe = signal && onAbort(signal, () => giveUp(signal.reason))
    const detach = this.#sending?.onClose(() => giveUp(new Error(CLOSED)))
    session.begins(reading, statement.scope)
    if (!reading) this.#leavesState()
    const written = isSubmittable(query) ? writtenOn(client) : null
    try {
      place.phase = 'handed'
      place.letGo?.()
      place.race?.handed(place, (isOver) => {
        if (settled) return isOver()
        lost = isOver
        giveUp(LOST)
      })
      // The callback form takes exactly what the user gave, submittables included.
      ;(client as unknown as Straight)[STRAIGHT](this.#first, statement.values, settle)
      if (pair !== null && !reading) this.#capture(pair)
    } catch (error) {
      // What submits itself, or a client class of the application's, may have sent something before it threw.
      if (isFree(client) || (written !== null && written === writtenOn(client))) place.phase = 'connect'
      settle(errorOf(error, 'query()') as Error, undefined)
    } finally {
      pair?.sent()
    }
  }

  /** What goes to pg's query() first: the caller's own object, where nothing else is asked of it. */
  get #first(): unknown {
    const sent = parsedAs(this.#statement.query, this.#sending?.types)
    // Callers that never share a connection of the primary may share one of a replica.
    return this.#reading && this.#place.node.state.kind === 'replica' ? withFreeName(this.#client, sent) : sent
  }

  /** As with pg, what it leaves in the session of the primary stays for whatever gets the connection next. */
  #leavesState(): void {
    const { router } = this.#site.parts
    // With one server nothing is read, and nothing can be borrowed.
    if (!router.facts.reads || this.#statement.effect !== 'taints') return
    const { remains } = this.#session
    remains.sends(this.#statement.sql)
    // The session of a replica is not kept with state of its own.
    if (this.#place.node.state.kind === 'replica') return
    remains.shares()
    const state = router.facts.stateLeftBy(this.#statement.sql)
    if (state !== null) router.facts.warnOfState(state)
  }

  /** It succeeded: what it has left in the session. */
  #settled(): void {
    const { router } = this.#site.parts
    const { remains } = this.#session
    if (remains.isShared && this.#statement.effect === 'discards') remains.discards()
    if (router.facts.reads && this.#session.exchange.status !== 'I') router.facts.warnOfState('an open transaction')
  }

  #capture(pair: Pair): void {
    const { router } = this.#site.parts
    const session = this.#session
    session.captures()
    const { text } = this.#statement
    pair.ask(router.causality.isAsynchronous(text) ? INSERTED : COMMITTED, (_, [row]) => {
      const then = session.captured()
      const lsn = parseLsn(row?.answer)
      router.causality.captured(session, this.#place.node, lsn)
      // Null: the statement itself failed or was given up, and its client went with it.
      then?.(lsn === null)
    })
  }

  /** In one trip: how far the replica is, and the rows, which count if that is far enough. */
  guard(pair: Pair, { resolve, reject }: Ends): void {
    const [session, place] = [this.#session, this.#place]
    const askedAt = this.#site.parts.clock.now()
    let behind = false
    // Until the guard has proved something it has proved nothing.
    let shown: Shown = 'stale'
    const stale = () => {
      behind = true
      // Nothing has been done for the caller: the rows will not be looked at.
      place.phase = 'connect'
      place.source = 'pgherd'
      reject(staleError(place.node.key))
    }
    pair.ask(REPLAYED, (_, [row]) => {
      shown = shownBy(this.#site, session, place, askedAt, row?.answer)
      if (shown === 'stale') stale()
    })
    this.run(pair, {
      resolve: (result) => {
        if (behind) return
        if (shown === 'stale') stale()
        else if (shown === 'passed') resolve(result)
        else shown.then((is) => (is ? resolve(result) : stale()), reject)
      },
      reject: (error) => {
        if (!behind) reject(error)
      },
    })
  }

  /** Notices of the statement are told to the client that it is run for. */
  #overheard(notice: Notice, { resolve, reject }: Ends, run: (ends: Ends) => void): void {
    const client = this.#client
    client.on('notice', notice)
    const ending = <T>(end: (value: T) => void) => {
      return (value: T) => {
        client.removeListener('notice', notice)
        end(value)
      }
    }
    run({ resolve: ending(resolve), reject: ending(reject) })
  }
}

/** pg sends what follows without waiting for it: no cursor, nothing that may turn the connection over to COPY. */
export function isPairable({ text, query }: Statement): boolean {
  return (
    text !== null && !isSubmittable(query) && !(query as { readonly rows?: unknown }).rows && !/\bcopy\b/i.test(text)
  )
}

/** Behind this statement the position is asked for, as a reader will need it. */
export function captures({ router }: Parts, { node }: Attempt, statement: Statement, reading: boolean): boolean {
  if (reading || node.state.kind !== 'primary' || !router.causality.captures(statement.scope)) return false
  return isPairable(statement) && router.facts.writes(statement.text, true)
}
