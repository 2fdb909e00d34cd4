// What has happened before a read, as far as this pool knows: what it wrote, what its sessions wrote and read, what tokens of
// other processes stand for. It answers what the next read must see. Chooses no node and runs no statement.

import type { Config } from '../config/config.js'
import { type Carried, reachedOf } from '../core/cluster/freshness.js'
import { type Lsn, withoutPageHeader } from '../core/cluster/lsn.js'
import type { Node } from '../core/cluster/node.js'
import { fatesOf, formatToken, gathered, mergeTokens, type Token } from '../core/cluster/token.js'
import type { Topology } from '../core/cluster/topology.js'
import { type Arrival, type ReadConstraints, Scope } from '../core/session/causal-scope.js'
import type { ServerSession } from '../core/session/server-session.js'
import type { Herd } from '../herd/herd.js'
import type { Clock } from '../runtime/clock.js'
import {
  badToken,
  carriedOn,
  demandOneCluster,
  isAmbiguous,
  type SessionOptions,
  type Tokens,
  tokenAt,
  tokensIn,
  tokensOf,
} from './tokens.js'

/** A token stands for WAL that the present timeline does not have: the failover lost it. */
export interface TokenLost {
  /** The timeline that the token is of, and the present primary's. */
  readonly timeline: number
  readonly now: number | null
}

/**
 * From the first statement on that names the setting, or sets one that it does not name, own writes are looked for where
 * asynchronous commits are: at the insert position.
 */
const ASYNCHRONOUS = /synchronous_commit|set_config\s*\(\s*[^'\s]/i

/** Which session the code that runs now belongs to: a matter of the face. */
export interface Scopes {
  readonly current: Scope | undefined
  run<T>(scope: Scope, work: () => T): T
}

export class Causality {
  readonly #config: Config
  readonly #herd: Herd
  readonly #clock: Clock
  readonly #lost: (lost: TokenLost) => void
  readonly #root = new Scope(null)
  readonly #scopes: Scopes
  #asynchronous = false
  /** What a read outside of sessions must see, and what that was of. */
  #outside: { readonly version: number; readonly heardAt: number | null; readonly of: ReadConstraints } | null = null
  /** Something ran while one server was known, and nothing is kept in mind of what it wrote. */
  #ranAlone = false
  #lostIn = { second: -1, count: 0 }
  /** When a notification last came, on the monotonic clock. */
  #heardAt: number | null = null

  constructor(config: Config, herd: Herd, clock: Clock, scopes: Scopes, lost: (lost: TokenLost) => void) {
    this.#config = config
    this.#herd = herd
    this.#clock = clock
    this.#scopes = scopes
    this.#lost = lost
  }

  /** The session whose code runs now. */
  get scope(): Scope | undefined {
    return this.#scopes.current
  }

  /** Behind a text that sets it for its own transaction the session is as before: its setting says nothing then. */
  isAsynchronous(text: string | null): boolean {
    if (text !== null) this.noticeText(text)
    return this.#asynchronous
  }

  /** Inside a transaction too: SET LOCAL decides how its commit behaves, and the commit itself does not say. */
  noticeText(text: string): void {
    if (ASYNCHRONOUS.test(text)) this.#asynchronous = true
  }

  /** A session commits so, whatever the texts say: its role or its database was told to. */
  noticeAsynchronous(): void {
    this.#asynchronous = true
  }

  /**
   * What a read of this session must see, on a client that last wrote at this time. The same object as long as nothing has changed,
   * outside of sessions.
   */
  written(scope: Scope | undefined, wroteAt: number | null = null): ReadConstraints {
    const mine = this.#config.readYourWrites === 'session' ? wroteAt : null
    if (scope !== undefined || mine !== null) return this.#writtenIn(scope, mine)
    const last = this.#outside
    const { version } = this.#root
    if (last?.version === version && last.heardAt === this.#heardAt && last.of.asynchronous === this.#asynchronous) {
      return last.of
    }
    const of = this.#writtenIn(undefined, null)
    this.#outside = { version, heardAt: this.#heardAt, of }
    return of
  }

  #writtenIn(scope: Scope | undefined, mine: number | null): ReadConstraints {
    const own = this.#ownOf(scope)
    // A listener that was told may have told others, in sessions that are not known: it counts for all.
    const heard = scope === undefined ? null : this.#heardAt
    const since = later(later(own?.since ?? null, scope?.since ?? null), later(mine, heard))
    return {
      since,
      doubt: own?.doubt ?? null,
      captured: own?.highest ?? null,
      asynchronous: this.#asynchronous,
      stick: scope?.stick ?? null,
      ...this.fate(scope),
    }
  }

  /** Positions are worth capturing behind this session's writes. */
  captures(scope: Scope | undefined): boolean {
    const { routing, attributes } = this.#config
    if (routing !== 'on' || attributes !== 'any' || !this.#herd.topology.plural) return false
    return this.#ownOf(scope) !== undefined && this.#herd.hasReaders
  }

  /** What its token stands for, where that is decided anew while a read waits. */
  fate(scope: Scope | undefined): Pick<ReadConstraints, 'carried' | 'lost'> {
    const fate = this.#fateOf(scope?.arrival ?? null)
    return { carried: fate === 'lost' ? null : fate, lost: fate === 'lost' }
  }

  acknowledged(session: ServerSession): void {
    session.writes(this.#clock.mono())
    // With one server no reader could miss it; with the second, all so far counts as written then.
    if (!this.#herd.topology.plural) {
      this.#ranAlone = true
      for (const scope of session.scopes ?? []) scope.acknowledged(this.#clock.mono())
      return
    }
    // A failure is not told together with a position.
    if (session.capturing !== null && !session.hasFailed)
      session.acks({ at: this.#clock.now(), epoch: this.#herd.topology.epoch })
    else this.#acknowledged(session, this.#clock.mono())
  }

  /** The reply to what may have written was lost, or tells of a part only. */
  doubted(session: ServerSession): void {
    const at = this.#clock.mono()
    session.writes(at)
    if (!this.#herd.topology.plural) this.#ranAlone = true
    for (const scope of this.#scopesOf(session)) scope.doubted(at)
    this.#askPosition(session)
  }

  /** The position asked for behind a write that was acknowledged; null: it did not come. */
  captured(session: ServerSession, node: Node, lsn: Lsn | null): void {
    const { acked } = session
    session.acks(null)
    if (acked === null) return
    const { epoch, primary, nodes } = this.#herd.topology
    if (lsn === null || primary !== node.key || epoch !== acked.epoch) {
      this.#acknowledged(session, this.#clock.mono())
      return
    }
    this.#herd.report({ kind: 'captured' })
    const segment = nodes.get(primary)?.seen?.detail?.walSegmentBytes
    const reached = segment ? withoutPageHeader(lsn, segment) : lsn
    for (const scope of this.#scopesOf(session)) scope.captured({ lsn: reached, ackedAt: acked.at, epoch })
  }

  #acknowledged(session: ServerSession, at: number): void {
    for (const scope of this.#scopesOf(session)) scope.acknowledged(at)
    this.#askPosition(session)
  }

  #askPosition({ scopes }: ServerSession): void {
    // Where no reader will ask for it, no position is needed.
    const { readYourWrites } = this.#config
    if (readYourWrites === 'pool' || (readYourWrites === 'session' && scopes !== null)) {
      this.#herd.report({ kind: 'acknowledged' })
    }
  }

  #scopesOf({ scopes }: ServerSession): Iterable<Scope> {
    return this.#config.readYourWrites === 'off' || scopes === null ? [this.#root] : scopes
  }

  /** A client whose session is not seen came back, or a second server was found: what was written before counts from now on. */
  mayHaveWritten(): void {
    if (!this.#herd.topology.plural) {
      this.#ranAlone = true
      return
    }
    const { scope } = this
    ;(scope ?? this.#root).acknowledged(this.#clock.mono())
    this.#herd.report({ kind: 'acknowledged' })
  }

  /** A client whose session is not seen came back, and its connection is gone: what it wrote last may have been committed. */
  mayHaveLost(): void {
    if (!this.#herd.topology.plural) this.#ranAlone = true
    const { scope } = this
    ;(scope ?? this.#root).doubted(this.#clock.mono())
    if (this.#herd.topology.plural) this.#herd.report({ kind: 'acknowledged' })
  }

  /** There is a second server now. */
  becamePlural(): void {
    if (this.#ranAlone) this.mayHaveWritten()
  }

  /** The sender of the notification had committed: a listener that was told of it looks for that. */
  notified(): void {
    this.#heardAt = this.#clock.mono()
    this.#root.acknowledged(this.#heardAt)
    if (this.#herd.topology.plural) this.#herd.report({ kind: 'acknowledged' })
  }

  /** A statement on this connection has shown its sessions something. */
  read({ scopes, standby, isCallers, hold }: ServerSession): void {
    const now = this.#clock.mono()
    const node = hold?.node
    // Servers before 14 do not say what they are. What is not held runs here because this is the primary.
    const replica = isCallers && standby !== false && node?.state.kind === 'replica' ? node : null
    for (const scope of scopes ?? []) {
      if (replica === null) scope.readOnPrimary(now)
      else scope.readOnReplica(replica, now)
    }
  }

  /** A read of this session has ended on this node. */
  readOn(node: Node | null, scope: Scope | undefined): void {
    if (scope === undefined || node === null) return
    if (node.state.kind === 'replica') scope.readOnReplica(node, this.#clock.mono())
    else scope.readOnPrimary(this.#clock.mono())
  }

  session<T>(tokens: Tokens, work: () => T, options: SessionOptions = {}): T {
    const around = this.scope ?? this.#root
    const given = tokensOf(tokens, options)
    const arrival = given.length === 0 ? around.arrival : this.#arrived(given, around.arrival, options)
    const scope = new Scope(around, arrival)
    // A position that nothing known covers is asked for now, so that the first read need not.
    const fate = given.length === 0 ? null : this.#fateOf(arrival)
    if (fate !== null && fate !== 'lost' && reachedOf(fate, this.#herd.topology.wal) === null) this.#herd.askPosition()
    return this.#scopes.run(scope, work)
  }

  #arrived(given: readonly Token[], outer: Arrival | null, { invalidToken }: SessionOptions): Arrival {
    const isLenient = invalidToken === 'ignore'
    const strict = gathered([...(outer?.strict ?? []), ...(isLenient ? [] : given)])
    const lenient = gathered([...(outer?.lenient ?? []), ...(isLenient ? given : [])])
    demandOneCluster(strict, 'it is of another cluster than that of the session around it')
    return { strict, lenient, arrivedAt: this.#clock.mono(), believed: null }
  }

  /** What covers all that this session, or outside of any the pool, has written and seen; null: there is nothing to carry. */
  async token(): Promise<string | null> {
    const { scope } = this
    const own = scope ?? this.#root
    const { stick } = own
    // With one server nothing is kept in mind; all it has now is surely enough.
    const heard = scope === undefined ? null : this.#heardAt
    const doubt = this.#herd.topology.primary === null ? null : own.doubt
    let since = this.#herd.topology.plural ? later(later(own.since, doubt), heard) : this.#clock.mono()
    // Of tokens of several clusters one can go on, and the primary's cluster decides which.
    if (isAmbiguous(tokensIn(own.arrival), this.#herd.topology)) since = this.#clock.mono()
    const captured = own.highest
    let lsn: Lsn | null = null
    let topology: Topology = this.#herd.topology
    for (;;) {
      const current = captured?.epoch === topology.epoch ? captured : null
      if (captured !== null && current === null) since = later(since, captured.newest)
      if (since !== null) {
        const found = await this.#herd.positionSince(since, this.#asynchronous)
        ;({ topology, lsn } = found)
        // There was a failover meanwhile: the captured position is not comparable any more.
        if (captured !== null && current !== null && topology.epoch !== captured.epoch) continue
      }
      if (stick !== null && (since === null || since < stick.since)) {
        const shown = await this.#herd.positionSince(stick.since, this.#asynchronous, stick.key)
        const same = shown.topology.epoch === topology.epoch
        topology = shown.topology
        if (!same) continue
        lsn = higher(lsn, shown.lsn)
      }
      if (current !== null) lsn = higher(lsn, current.lsn)
      break
    }
    const written = lsn === null ? null : tokenAt(topology, lsn)
    const carried = carriedOn(tokensIn(own.arrival), topology)
    const both =
      written === null || carried === null ? (written ?? carried) : (mergeTokens(written, carried) ?? written)
    return both === null ? null : formatToken(both)
  }

  #ownOf(scope: Scope | undefined): Scope | undefined {
    switch (this.#config.readYourWrites) {
      case 'pool':
        return this.#root
      case 'session':
        return scope
      case 'off':
        return undefined
      default:
        return this.#config.readYourWrites satisfies never
    }
  }

  #believes(): boolean {
    const second = Math.floor(this.#clock.mono() / 1000)
    if (second !== this.#lostIn.second) this.#lostIn = { second, count: 0 }
    return ++this.#lostIn.count <= MOST_LOST
  }

  #fateOf(arrival: Arrival | null): Carried | 'lost' | null {
    if (arrival === null) return null
    const { systemIdentifier, incumbent } = this.#herd.topology
    const present = { systemIdentifier, timeline: incumbent?.timeline ?? null, begun: incumbent?.begun ?? null }
    if (fatesOf(arrival.strict, arrival.arrivedAt, present).foreign !== null) throw badToken('it is of another cluster')
    const { carried, lost } = fatesOf(tokensIn(arrival), arrival.arrivedAt, present)
    if (lost === null) return carried
    if (arrival.believed === null) {
      arrival.believed = this.#believes()
      if (arrival.believed) this.#lost({ timeline: lost.timeline, now: present.timeline })
    }
    // A crowd of them is forged, or a storm behind a failover: what the primary had when it came is all there is to see.
    return arrival.believed ? 'lost' : { lsn: null, arrivedAt: arrival.arrivedAt }
  }
}

/** So many lost tokens in a second are told, and answered by the primary: any client can write one. */
const MOST_LOST = 20

function higher(a: Lsn | null, b: Lsn): Lsn {
  return a === null || a < b ? b : a
}

function later(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.max(a, b)
}
