// Between the router and the sessions of connections: what the texts are that they send, and what their servers say. Chooses no node.

import type { Change } from '../core/cluster/changes.js'
import type { Required } from '../core/cluster/horizon.js'
import { elapsed } from '../core/cluster/instant.js'
import type { Node } from '../core/cluster/node.js'
import type { Position, Receiver } from '../core/cluster/sighting.js'
import type { Topology } from '../core/cluster/topology.js'
import { Fact, type ServerSession, type Texts } from '../core/session/server-session.js'
import { type Effect, onlyShapes } from '../core/sql/effects.js'
import type { Undone } from '../core/undone.js'
import type { Herd } from '../herd/herd.js'
import type { Causality } from './causality.js'
import type { Routing } from './routing.js'

export class Facts implements Texts {
  readonly #herd: Herd
  readonly #routing: Routing
  readonly #causality: Causality
  /** Sessions that read string literals in another way than the lexer. */
  #oddSessions = 0

  constructor(herd: Herd, routing: Routing, causality: Causality) {
    this.#herd = herd
    this.#routing = routing
    this.#causality = causality
  }

  // What texts do, asked by the sessions of connections.

  get reads(): boolean {
    return this.#herd.topology.plural
  }

  /** While there is one server no reader could miss it, and nothing is read; an open transaction counts when there are more. */
  writes(text: string | null, sentAsWrite: boolean): boolean {
    if (text === null || !this.#herd.topology.plural) return true
    if (onlyShapes(text)) return false
    const { intent, hint } = this.#routing.texts.read(text)
    return sentAsWrite || intent !== 'read' || hint === 'primary'
  }

  undone(text: string): Undone {
    return this.#routing.texts.read(text).undone
  }

  defines(text: string): boolean {
    return this.#herd.informs && this.#routing.texts.read(text).defines
  }

  effect(text: string): Effect {
    return this.#routing.texts.effect(text)
  }

  /** What of a text of query() stays in the session of its connection for sure; null: nothing. */
  stateLeftBy(text: string | null): string | null {
    return text === null ? null : this.#routing.texts.stateLeftBy(text)
  }

  warnOfState(what: string): void {
    this.#routing.warnings.sessionState(what)
  }

  // What connections tell.

  heard(session: ServerSession, facts: number, text: string | null): void {
    if (facts & Fact.ended && text !== null) this.#causality.noticeText(text)
    if (facts & Fact.read) this.#causality.read(session)
    if (facts & Fact.acknowledged) this.#causality.acknowledged(session)
    if (facts & Fact.doubted) this.#causality.doubted(session)
    if (facts & Fact.defined) this.#herd.report({ kind: 'defined' })
  }

  legible(is: boolean): void {
    this.#oddSessions += is ? -1 : 1
    this.#noticeLegible(this.#herd.topology)
  }

  #noticeLegible({ nodes }: Topology): void {
    const reads = (node: Node) => node.seen?.detail?.standardConformingStrings !== false
    this.#routing.setLegible(this.#oddSessions === 0 && [...nodes.values()].every(reads))
  }

  /** A replica has shown its position to a read that needs `required`; `guess`: the same, where the read was one. */
  shown(
    { key, generation }: Node,
    position: Position,
    receiver: Receiver | null,
    required: Required,
    guess: Required | null
  ): void {
    const judged = (need: Required) => ({
      passed: position.lsn >= need.lsn,
      ageMillis: elapsed(need.takenAt, position.askedAt),
    })
    const guard = guess === null ? null : judged(guess)
    this.#herd.report({ kind: 'shown', key, generation, position, receiver, known: required.lsn, guard })
  }

  /** A new connection has said which server it leads to. `asynchronous`: its commits are. */
  identified({ key }: Node, startedAt: string, asynchronous: boolean): void {
    if (asynchronous) this.#causality.noticeAsynchronous()
    this.#herd.report({ kind: 'identified', key, startedAt })
  }

  /** A notification came: its sender had committed. */
  notified(): void {
    this.#causality.notified()
  }

  /** The picture has changed. */
  follow(after: Topology, found: readonly Change[]): void {
    this.#noticeLegible(after)
    for (const change of found) {
      if (change.kind !== 'state' && change.kind !== 'added') continue
      const node = after.nodes.get(change.key)
      if (node === undefined) continue
      if (node.seen?.detail?.isPooled) this.#routing.tellPooled(node.key)
      const primary = after.primary === null ? undefined : after.nodes.get(after.primary)
      if (change.kind === 'added') this.#routing.tellPorts(node.address, primary)
    }
  }
}
