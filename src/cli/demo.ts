// pgherd proxy --demo: a primary and two replicas of its own, the proxy in front of them, and keys that make a failover. Ends as the
// proxy does, and removes the servers.

import type { Topology } from '../core/cluster/topology.js'
import { type Clock, systemClock, timeOfDay } from '../runtime/clock.js'
import { type Cluster, startCluster, TestingError } from '../testing/index.js'
import { Mistake } from './herd.js'
import { proxy } from './proxy.js'
import type { ProxyWords } from './proxy-args.js'
import type { Surroundings } from './proxy-around.js'
import { valued } from './proxy-settings.js'

export interface DemoSurroundings extends Surroundings {
  /** Calls back with each key that is pressed. Null: there is no terminal. */
  readonly keys: ((listener: (key: string) => void) => void) | null
}

const REPLICAS = 2
const CTRL_C = '\x03'

export async function demo(words: ProxyWords, around: DemoSurroundings, clock: Clock = systemClock): Promise<number> {
  let interrupt = () => {}
  const interrupted = new Promise<null>((resolve) => {
    interrupt = () => resolve(null)
  })
  let signalled: Parameters<Surroundings['signals']>[0] = (signal) => {
    if (signal !== 'SIGHUP') interrupt()
  }
  around.signals((signal) => signalled(signal))
  let act = (_: string) => {}
  around.keys?.((key) => {
    if (key === 'q' || key === CTRL_C) signalled('SIGINT')
    else act(key)
  })
  around.output.write('starts a primary and two replicas\n')
  const cluster = await Promise.race([started(), interrupted])
  // What is being started ends with the process: the watcher of the cluster sees to that.
  if (cluster === null) return 0
  const say = (text: string) => around.output.write(`${timeOfDay().toTimeString().slice(0, 8)}  ${text}\n`)
  const stage = new Stage(cluster, say)
  try {
    // The servers have no TLS, whatever PGSSLMODE says, and the environment names other servers than these.
    const url = valued('url', `${cluster.connectionString('monitor')}?sslmode=disable`, 'flag', 'the URL')
    const own = { ...words, flags: new Map(words.flags).set('url', url) }
    const inner: Surroundings = {
      ...around,
      environment: {},
      signals: (listener) => {
        signalled = listener
      },
    }
    return await proxy(own, inner, clock, (served, { address, port }) => {
      around.output.write(`${guide(cluster, address, port, around.keys !== null).join('\n')}\n`)
      served.router.herd.subscribe(news(cluster, clock, say))
      act = (key) => stage.press(key)
    })
  } finally {
    act = () => {}
    await stage.end()
    await cluster.destroy()
  }
}

async function started(): Promise<Cluster> {
  try {
    return await startCluster({ replicas: REPLICAS })
  } catch (error) {
    throw error instanceof TestingError ? new Mistake(error.message) : error
  }
}

/** How to connect, and what the keys do. No line has more than 80 columns. */
export function guide(cluster: Pick<Cluster, 'nodes'>, address: string, port: number, hasKeys: boolean): string[] {
  const psql = `  psql -h ${address} -p ${port} -U app`
  const keys = [
    'Keys:',
    '  f  a failover: the primary stops, and a replica is promoted',
    '  r  the servers that are stopped return as replicas',
    '  q  or Ctrl-C ends all of it and removes the servers',
  ]
  return [
    ...cluster.nodes.map(({ index, name, host, port: own }) => {
      return `  ${name}  ${host}:${own}  ${index === 0 ? 'primary' : 'replica'}`
    }),
    '',
    `pgherd proxy listens on ${address.includes(':') ? `[${address}]` : address}:${port}. In another terminal:`,
    `${psql} app`,
    `${psql} pgherd -c 'show nodes'`,
    '',
    ...(hasKeys ? keys : ['SIGTERM or Ctrl-C ends all of it and removes the servers.']),
    '',
  ]
}

/** Tells what the proxy believes of the primary. */
function news({ nodes }: Pick<Cluster, 'nodes'>, clock: Clock, say: (text: string) => void) {
  const nameOf = (key: string) => nodes.find(({ host, port }) => `${host}:${port}` === key)?.name ?? key
  let lostAt: number | null = null
  return (after: Topology, before: Topology) => {
    if (after.primary === before.primary || after.ended) return
    if (after.primary === null) {
      lostAt = clock.mono()
      say('the proxy has no primary: writes wait')
      return
    }
    const waited = lostAt === null ? '' : `, after ${((clock.mono() - lostAt) / 1000).toFixed(2)} s`
    lostAt = null
    say(`the proxy sends writes to ${nameOf(after.primary)}${waited}`)
  }
}

/** What the keys do to the servers, one at a time. */
export class Stage {
  readonly #cluster: Cluster
  readonly #say: (text: string) => void
  #primary = 0
  #current: Promise<void> | null = null
  #isOver = false

  constructor(cluster: Cluster, say: (text: string) => void) {
    this.#cluster = cluster
    this.#say = say
  }

  press(key: string): void {
    const work = key === 'f' ? () => this.failover() : key === 'r' ? () => this.restore() : null
    if (work === null || this.#isOver) return
    if (this.#current !== null) {
      this.#say('that has to wait: the last key is still at work')
      return
    }
    const current = work().catch((error: unknown) => {
      const [line] = String(error).split('\n')
      this.#say(`it failed: ${line}`)
    })
    this.#current = current
    void current.then(() => {
      this.#current = null
    })
  }

  async failover(): Promise<void> {
    const { nodes } = this.#cluster
    const next = nodes.find(({ index, running }) => running && index !== this.#primary)
    if (next === undefined) return this.#say('no replica is left to promote: r brings the stopped servers back')
    const old = this.#cluster.node(this.#primary)
    this.#say(`${old.name}, the primary, is told to stop`)
    await this.#cluster.stop(old.index)
    this.#say(`${old.name} has stopped; ${next.name} is told to become the primary`)
    await this.#cluster.promote(next.index)
    this.#primary = next.index
    this.#say(`${next.name} takes writes`)
    for (const { index, running } of nodes) if (running && index !== next.index) await this.#rejoin(index)
  }

  async restore(): Promise<void> {
    const stopped = this.#cluster.nodes.filter(({ running }) => !running)
    if (stopped.length === 0) return this.#say('no server is stopped: f makes a failover')
    for (const { index } of stopped) await this.#rejoin(index)
  }

  async #rejoin(index: number): Promise<void> {
    const [{ name }, primary] = [this.#cluster.node(index), this.#cluster.node(this.#primary)]
    try {
      await this.#cluster.follow(index, primary.index)
    } catch (error) {
      if (!(error instanceof TestingError && error.code === 'PGHERD_DIVERGED')) throw error
      this.#say(`${name} has what ${primary.name} never had: it gets a copy of its data`)
      await this.#cluster.reclone(index, primary.index)
    }
    this.#say(`${name} follows ${primary.name}`)
  }

  /** Resolves when no key is at work any more. */
  async end(): Promise<void> {
    this.#isOver = true
    await this.#current
  }
}
