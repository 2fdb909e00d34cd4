// A Herd without servers: each node answers probes as its script says, and attempts are the test's own functions.

import assert from 'node:assert/strict'
import { resolveConfig } from '../../src/config/config.js'
import { type Failure, failureOf } from '../../src/core/cluster/failure.js'
import { parseLsn } from '../../src/core/cluster/lsn.js'
import type { ProbeResult } from '../../src/core/cluster/node.js'
import type { Target } from '../../src/core/cluster/selection.js'
import type { Sighting } from '../../src/core/cluster/sighting.js'
import type { PgherdError } from '../../src/errors.js'
import { type Attempt, Herd, type HerdParts, type Request } from '../../src/herd/herd.js'
import type { ProbeFactory } from '../../src/herd/probe.js'
import type { Depth } from '../../src/herd/probe-answers.js'
import type { Question } from '../../src/herd/question.js'
import type { Clock } from '../../src/runtime/clock.js'
import { detailOf } from './details.js'
import { ManualClock } from './manual-clock.js'
import { usualSource } from './sources.js'

export interface Server {
  /** What it says of itself. 'stopping': a primary to the connection that is open, 57P03 to a new one. 'starting' (57P03), 'refuses', 'silent' and 'denies' are what a probe meets instead of an answer. */
  mode: 'primary' | 'replica' | 'stopping' | 'starting' | 'refuses' | 'silent' | 'denies'
  timeline: number
  /** Its WAL position, or what it has replayed. */
  position: string
  replicas: number
  system: string
  /** How often it was looked at, and whether a probe connection is open. */
  looks: number
  open: boolean
}

export function server(mode: Server['mode'], more: Partial<Server> = {}): Server {
  return { mode, timeline: 1, position: '0/100', replicas: 0, system: '7', looks: 0, open: false, ...more }
}

/** From now on the node answers so. */
export function set(script: Server | undefined, more: Partial<Server>): void {
  assert.ok(script, 'no such node')
  Object.assign(script, more)
}

/** A replica says that it receives from the primary that there is, or was last. */
function sighting(host: string, script: Server, servers: Readonly<Record<string, Server>>): Sighting {
  const names = Object.keys(servers)
  const from = names.find((name) => servers[name]?.mode === 'primary') ?? names[0] ?? host
  const pid = from.charCodeAt(0)
  const primary = script.mode !== 'replica'
  const position = parseLsn(script.position)
  return {
    inRecovery: !primary,
    timeline: primary ? script.timeline : null,
    insert: primary ? position : null,
    flush: primary ? position : null,
    replay: primary ? null : position,
    receiver: primary ? null : { pid, timeline: null, streaming: false, received: null },
    feeds: primary ? null : script.replicas,
    detail: detailOf({
      systemIdentifier: script.system,
      startedAt: `start of ${host}`,
      controlTimeline: script.timeline,
      sender: primary ? null : { pid, host: literal(from), port: 5432 },
      senders: Array.from({ length: script.replicas }, () => ({ address: null, name: 'r', state: 'streaming' })),
    }),
  }
}

export const coded = (code: string, message = `error ${code}`, more: object = {}) =>
  Object.assign(new Error(message), { code, ...more })

const ANSWERS = {
  refuses: () => coded('ECONNREFUSED', 'connect ECONNREFUSED'),
  denies: () => coded('28P01', 'password authentication failed for user "app"'),
  silent: () => new Error('timeout expired'),
  starting: () => coded('57P03', 'the database system is shutting down'),
} as const

export interface Scripted {
  readonly herd: Herd
  readonly clock: ManualClock
  readonly servers: Readonly<Record<string, Server>>
}

/** A catalogue that nobody defined anything in. */
export const nothing: Question = async () => [[{ position: 'FFFFFFFF/FFFFFFFF' }], []]

export function scripted(
  servers: Readonly<Record<string, Server>>,
  options: object = {},
  ask: Question = nothing,
  parts: Partial<HerdParts> = {}
): Scripted {
  const clock = new ManualClock()
  const config = resolveConfig({ host: Object.keys(servers).map(literal), ...options }, {}, {})
  const probes = probesOf(servers, clock)
  return { herd: new ScriptedHerd(config, { clock, probes, ask, ...parts }), clock, servers }
}

/** Told of each look as it begins, and whether it needs a new connection. */
export type Watching = (server: Server, depth: Depth, isNew: boolean) => void

/** Probes that answer as the scripts say. */
export function probesOf(
  servers: Readonly<Record<string, Server>>,
  clock: Clock,
  watching: Watching = () => {}
): ProbeFactory {
  return (client) => {
    const host = named(String(client.host))
    const script = servers[host] as Server
    let isConnected = false
    return {
      async look(depth: Depth, millis: number): Promise<ProbeResult> {
        script.looks++
        watching(script, depth, !isConnected)
        const mode = script.mode !== 'stopping' ? script.mode : script.open ? 'primary' : 'starting'
        // A look that fails leaves no connection behind.
        isConnected = mode === 'primary' || mode === 'replica'
        script.open = isConnected
        if (mode === 'silent') await new Promise<void>((resolve) => clock.alarm(millis, resolve))
        if (mode === 'primary' || mode === 'replica') {
          return { kind: 'answer', sighting: sighting(host, script, servers) }
        }
        return { kind: 'failure', failure: failed(ANSWERS[mode]()) }
      },
      async position() {
        if (script.mode !== 'primary') return null
        const position = parseLsn(script.position)
        return { insert: position, flush: position, timeline: script.timeline }
      },
      close() {
        isConnected = false
        script.open = false
      },
    }
  }
}

/** Attempts fail as they would on a real connection: the error is that of whoever usually makes it. */
class ScriptedHerd extends Herd {
  override run<T>(errand: Request, attempt: (place: Attempt) => Promise<T>): Promise<T> {
    return super.run(errand, async (place) => {
      try {
        return await attempt(place)
      } catch (error) {
        if (place.source === 'unproven') place.source = usualSource(error)
        throw error
      }
    })
  }
}

function failed(error: unknown): Failure {
  return failureOf(error, 'connect', usualSource(error))
}

/** Addresses need no resolver: node a is 10.0.0.97. */
export function literal(name: string): string {
  return `10.0.0.${name.charCodeAt(0)}`
}
export function named(host: string): string {
  return String.fromCharCode(Number(host.split('.')[3]))
}

export const hostOf = ({ node }: Attempt): string => named(node.address.host)

/** Where a read may go that has the usual bounds. */
export const REPLICA: Extract<Target, { role: 'replica' }> = {
  role: 'replica',
  need: { maxLagMillis: 1000, since: null, asynchronous: false },
  maxLagBytes: Infinity,
  maxStaleMillis: 30_000,
  otherwise: 'primary',
}
export const READ: Request = { target: REPLICA, repeat: () => ({ read: true, undone: 'whole' }), repairs: true }
export const WRITE: Request = {
  target: { role: 'primary' },
  repeat: () => ({ read: false, undone: 'whole' }),
  repairs: false,
}

export function rejects(promise: Promise<unknown>, code: string, pattern = /./): Promise<void> {
  return assert.rejects(promise, (error: PgherdError) => {
    assert.equal(error.code, code, String(error))
    assert.match(error.message, pattern)
    return true
  })
}
