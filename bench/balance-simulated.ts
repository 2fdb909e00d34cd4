// The rules of bench/balance.ts in simulated time, where nothing else disturbs them: replicas that serve four statements at a time,
// statements that come by chance and take as long as chance says, one process or twenty. What this cannot show is real servers.
//   node dist/bench/balance-simulated.js [statements per rule]

import { keyOf, type NodeAddress } from '../src/core/cluster/address.js'
import { type BalancePolicy, leastInFlight } from '../src/core/cluster/balance.js'
import type { Node } from '../src/core/cluster/node.js'
import { reduce } from '../src/core/cluster/reduce.js'
import { emptyTopology } from '../src/core/cluster/topology.js'
import { policiesFor } from './policies.js'

const STATEMENTS = Number(process.argv[2] ?? 60_000)
const WORKERS = 4
const TRIP_MILLIS = 0.2

interface Scene {
  readonly title: string
  /** What a statement takes on each replica, on average. */
  readonly millis: readonly number[]
  /** Of what all replicas together can do. */
  readonly load: number
  readonly weights?: readonly number[]
  /** The last replica is fifty times as slow for one second. */
  readonly stalls?: boolean
}

const SCENES: readonly Scene[] = [
  { title: '3 replicas, 1 ms each, 85 % busy', millis: [1, 1, 1], load: 0.85 },
  { title: '1, 1 and 4 ms, 30 % busy', millis: [1, 1, 4], load: 0.3 },
  { title: '1, 1 and 4 ms, 70 % busy', millis: [1, 1, 4], load: 0.7 },
  { title: 'the same, with weights 4, 4 and 1', millis: [1, 1, 4], load: 0.7, weights: [4, 4, 1] },
  { title: '8 of 1 ms and 2 of 4 ms, 70 % busy', millis: [1, 1, 1, 1, 1, 1, 1, 1, 4, 4], load: 0.7 },
  { title: '3 of 1 ms, 40 % busy, one stalls for 1 s', millis: [1, 1, 1], load: 0.4, stalls: true },
]

/** Mulberry32: the same chance in every run. */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** What happens when: a heap, the earliest first. */
class Agenda {
  readonly #entries: { readonly at: number; readonly then: () => void }[] = []
  now = 0

  after(millis: number, then: () => void): void {
    const entries = this.#entries
    let i = entries.push({ at: this.now + millis, then }) - 1
    while (i > 0) {
      const up = (i - 1) >> 1
      if (this.#at(up) <= this.#at(i)) break
      this.#swap(up, i)
      i = up
    }
  }

  run(): void {
    const entries = this.#entries
    for (;;) {
      const first = entries[0]
      const last = entries.pop()
      if (first === undefined || last === undefined) return
      if (entries.length > 0) entries[0] = last
      this.#sink()
      this.now = first.at
      first.then()
    }
  }

  #sink(): void {
    for (let i = 0; ; ) {
      let down = 2 * i + 1
      if (this.#at(down + 1) < this.#at(down)) down++
      if (this.#at(down) >= this.#at(i)) return
      this.#swap(down, i)
      i = down
    }
  }

  #at(i: number): number {
    return this.#entries[i]?.at ?? Infinity
  }

  #swap(a: number, b: number): void {
    const entries = this.#entries as { at: number; then: () => void }[]
    const kept = entries[a] as (typeof entries)[number]
    entries[a] = entries[b] as (typeof entries)[number]
    entries[b] = kept
  }
}

interface Server {
  readonly millis: number
  free: number
  readonly line: (() => void)[]
  slowness: number
}

function nodesOf({ millis, weights }: Scene): readonly Node[] {
  const addresses = millis.map(
    (_, i): NodeAddress => ({
      host: '10.0.0.1',
      port: i,
      servername: null,
      origin: 'configured',
      weight: weights?.[i] ?? 1,
    })
  )
  const at = { mono: 0, wall: 0 }
  const empty = emptyTopology({ hosts: millis.length, silentMillis: 3000, strictAsyncCommit: false })
  return [...reduce(empty, { kind: 'discovered', source: 'configured', addresses, at }).nodes.values()]
}

/** One process: what it has in flight, and how long each replica took lately. */
interface Process {
  readonly policy: BalancePolicy
  readonly inFlight: Map<string, number>
  readonly lately: Map<string, number>
}

/** Statements in flight, each as long as they took lately. Not in the product: it needs the times of statements. */
function byTime(lately: ReadonlyMap<string, number>): BalancePolicy {
  return (candidates, { inFlight }) => {
    const cost = ({ key }: Node) => (inFlight(key) + 1) * (lately.get(key) ?? 1)
    return candidates.reduce((best, node) => (cost(node) < cost(best) ? node : best))
  }
}

function simulated(scene: Scene, processes: number, policyOf: (lately: Process['lately']) => BalancePolicy): number[] {
  const chance = dice(1)
  const someTime = (mean: number) => -Math.log(1 - chance()) * mean
  const agenda = new Agenda()
  const nodes = nodesOf(scene)
  const servers = scene.millis.map((millis): Server => ({ millis, free: WORKERS, line: [], slowness: 1 }))
  const all = Array.from({ length: processes }, (): Process => {
    const lately = new Map<string, number>()
    return { policy: policyOf(lately), inFlight: new Map(), lately }
  })
  const perMilli = scene.load * scene.millis.reduce((sum, millis) => sum + WORKERS / millis, 0)
  const latencies: number[] = []

  const serve = (server: Server, done: () => void) => {
    agenda.after(someTime(server.millis) * server.slowness, () => {
      const next = server.line.shift()
      if (next === undefined) server.free++
      else next()
      agenda.after(TRIP_MILLIS / 2, done)
    })
  }
  const send = ({ policy, inFlight, lately }: Process) => {
    const of = (key: string) => inFlight.get(key) ?? 0
    const moment = {
      now: { mono: agenda.now, wall: agenda.now },
      random: chance(),
      inFlight: of,
      avoid: new Set<never>(),
    }
    const { key, address } = policy(nodes, moment)
    const server = servers[address.port] as Server
    const from = agenda.now
    inFlight.set(key, of(key) + 1)
    const done = () => {
      const millis = agenda.now - from
      latencies.push(millis)
      inFlight.set(key, of(key) - 1)
      lately.set(key, (lately.get(key) ?? 1) * 0.8 + millis * 0.2)
    }
    agenda.after(TRIP_MILLIS / 2, () => {
      if (server.free === 0) server.line.push(() => serve(server, done))
      else {
        server.free--
        serve(server, done)
      }
    })
  }
  let sent = 0
  const next = () => {
    if (sent++ === STATEMENTS) return
    send(all[Math.floor(chance() * processes)] as Process)
    agenda.after(someTime(1 / perMilli), next)
  }
  const last = servers.at(-1)
  if (scene.stalls && last !== undefined) {
    agenda.after(1000, () => (last.slowness = 50))
    agenda.after(2000, () => (last.slowness = 1))
  }
  next()
  agenda.run()
  return latencies.sort((a, b) => a - b)
}

function told(latencies: readonly number[], share: number): string {
  const millis = latencies[Math.floor(share * (latencies.length - 1))] ?? Number.NaN
  return millis > 500 ? '–' : millis.toFixed(1)
}

/** Nanoseconds for one choice. */
function costOf(replicas: number): number {
  const scene = { title: '', millis: new Array<number>(replicas).fill(1), load: 1 }
  const nodes = nodesOf(scene)
  const inFlight = new Map(nodes.map(({ key }, i) => [key, i % 3]))
  const moment = {
    now: { mono: 0, wall: 0 },
    random: 0,
    inFlight: (key: Node['key']) => inFlight.get(key) ?? 0,
    avoid: new Set<never>(),
  }
  const chance = dice(2)
  const rounds = Math.ceil(2_000_000 / replicas)
  let from = 0
  for (let i = -rounds; i < rounds; i++) {
    if (i === 0) from = performance.now()
    moment.random = chance()
    leastInFlight(nodes, moment)
  }
  return ((performance.now() - from) / rounds) * 1e6
}

for (const scene of SCENES) {
  console.log(`\n${scene.title}\n| p50, p99 in ms | 1 process | 20 processes |\n|---|---|---|`)
  const far = new Map(scene.millis.map((millis, i) => [keyOf({ host: '10.0.0.1', port: i }), millis]))
  const ports = new Map([...far.values()].map((millis, i) => [i, millis]))
  const rules = { ...policiesFor(ports), '(by time, too)': byTime }
  for (const [name, policyOf] of Object.entries(rules)) {
    const cells = [1, 20].map((processes) => {
      const latencies = simulated(scene, processes, policyOf as Parameters<typeof simulated>[2])
      return `${told(latencies, 0.5)}, ${told(latencies, 0.99)}`
    })
    console.log(`| ${name} | ${cells.join(' | ')} |`)
  }
}
console.log(`\nOne choice: ${[2, 3, 10, 100].map((n) => `${Math.round(costOf(n))} ns of ${n}`).join(', ')}`)
