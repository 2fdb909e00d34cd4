// What all clients of one proxy share, and what tells one from another.

import type { Scope } from '../../core/session/causal-scope.js'
import type { Attempt } from '../../herd/herd.js'
import type { Router } from '../../router/router.js'
import type { RouteOptions } from '../../router/statement.js'
import type { Clock } from '../../runtime/clock.js'
import type { ProxyOptions } from '../options.js'
import type { ServerConnection } from '../server/connection.js'
import type { NodeSide } from '../server/node-side.js'
import type { Plans } from '../session/plan.js'
import type { Library } from '../session/prepared.js'
import type { Settings } from '../session/settings.js'
import type { FrameRules } from '../wire/framer.js'
import type { Scopes } from './scopes.js'

export interface Identity {
  readonly id: number
  readonly user: string
  readonly database: string
  readonly address: string
  readonly port: number
  readonly isTls: boolean
  readonly pid: number
  readonly secret: Buffer
  readonly connectedAt: Date
  /** What the client was told of its session at the start. */
  readonly told: ReadonlyMap<string, string>
  readonly settings: Settings
  readonly scope: Scope | undefined
  /** What it has sent behind its login. */
  readonly rest: Buffer
}

/** What the settings `pgherd.*` of a client say. */
export interface Wishes {
  readonly route: RouteOptions
  readonly token: string | null
}

export interface ClientParts {
  readonly clock: Clock
  readonly options: ProxyOptions
  readonly router: Router
  readonly scopes: Scopes
  readonly plans: Plans
  readonly library: Library
  readonly rules: FrameRules
  sideOf(place: Attempt): NodeSide
  cancel(connection: ServerConnection): Promise<void>
  wishesIn(settings: Settings): Wishes
  /** The session of a client goes on behind what the token stands for. */
  scopeFor(token: string, around: Scope | undefined): Scope | undefined
  left(id: number): void
  /** Resolves when units may run again; null: they may. */
  paused(): Promise<void> | null
}
