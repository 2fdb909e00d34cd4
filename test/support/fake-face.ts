// A router without servers: probes are answered at once, by scripts, and so is each attempt. What is left is what pgherd itself does
// for a statement: class, route, choice of the node, execution.

import { setTimeout as pause } from 'node:timers/promises'
import { resolveConfig } from '../../src/config/config.js'
import type { Attempt } from '../../src/herd/herd.js'
import { Sessions } from '../../src/pool/sessions.js'
import { Router } from '../../src/router/router.js'
import { type Clock, systemClock } from '../../src/runtime/clock.js'
import { complaints } from '../../src/runtime/complaints.js'
import { literal, nothing, probesOf, type Server, server } from './scripted-herd.js'

export interface FakeFace {
  readonly router: Router
  /** The primary first. */
  readonly servers: readonly Server[]
  /** A statement, as pool.query() would send it. Gives the attempt that served it. */
  query(text: string, values?: readonly unknown[]): Promise<unknown>
  end(): void
}

const FIRST_NAME = 97
/** The last byte of an address. */
export const MOST_NODES = 255 - FIRST_NAME

/** A primary, and replicas that have replayed what it has written. */
export function fakeRouter(nodes: number, options: object = {}, clock: Clock = systemClock): FakeFace {
  const names = Array.from({ length: nodes }, (_, index) => String.fromCharCode(FIRST_NAME + index))
  const servers = Object.fromEntries(
    names.map((name, index) => [name, server(index === 0 ? 'primary' : 'replica', { position: '0/200' })])
  )
  const config = resolveConfig({ host: names.map(literal), ...options }, {}, {})
  const router = new Router(config, {
    clock,
    complain: complaints(),
    scopes: new Sessions(),
    busy: () => false,
    sessions: () => ({ count: 0, received: () => new Map(), idle: () => [], isUnused: () => false, freed: pause }),
    connections: () => [],
    sharesSession: () => false,
    limits: { max: 10, min: 0, namespace: null },
    tokenLost: () => {},
    instead: { probes: probesOf(servers, clock), ask: nothing },
  })
  const served = async (place: Attempt) => {
    place.phase = 'completed'
    return place
  }
  const face: FakeFace = {
    router,
    servers: Object.values(servers),
    query: (text, values) => router.run(router.statement({}, text, values), served),
    end() {
      router.herd.end()
      router.herd.close()
      router.telemetry.end()
    },
  }
  return face
}

/** The same, and all of its nodes serve. */
export async function fakeFace(nodes: number, options: object = {}): Promise<FakeFace> {
  const face = fakeRouter(nodes, options)
  await face.router.herd.ready({ primary: true, replicas: nodes - 1, maxLagMillis: 1000 }, 10_000)
  return face
}
