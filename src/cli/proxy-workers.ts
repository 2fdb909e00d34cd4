// pgherd proxy --workers: the parent of processes that serve the same clients. It reads the configuration and hands it to them, passes on
// what one asks of all, gives out their metrics as one, and forks another where one has died. It talks to no client and no server.

import cluster, { type Worker as Child } from 'node:cluster'
import { randomBytes } from 'node:crypto'
import { printable } from '../core/words.js'
import type { Order } from '../proxy/console/commands.js'
import { folded, type Metric, serveMetrics } from '../proxy/metrics.js'
import { slotOf } from '../proxy/pids.js'
import type { Said } from '../proxy/wire/write.js'
import type { Clock } from '../runtime/clock.js'
import { targetOf } from './herd.js'
import type { Listen, ProxyWords } from './proxy-args.js'
import { addressText, configOf, failureText, type Surroundings } from './proxy-around.js'
import { Entrance, isHanding } from './proxy-entrance.js'
import { type Ground, laid, regrounded } from './proxy-ground.js'
import { type Address, type Answers, Line } from './proxy-line.js'

/** A worker that does not answer for so long is not waited for. */
const ANSWER_MILLIS = 5000
/** One that has not gone so long after it should have is killed. */
const GONE_MILLIS = 5000
/** One that died before it could serve is not replaced at once. */
const AGAIN_MILLIS = 1000

type Asked = 'begin' | 'serves' | 'showAll' | 'orderAll' | 'reloadAll' | 'shutdown' | 'cancel'

interface Member {
  readonly slot: number
  readonly child: Child
  readonly line: Line<Asked>
  /** It has its configuration, and hears of what changes from then on. */
  hasBegun: boolean
  serves: boolean
}

class Crew {
  readonly #words: ProxyWords
  readonly #around: Surroundings
  readonly #clock: Clock
  readonly #members = new Map<number, Member>()
  readonly #salting = randomBytes(32)
  readonly #of: number
  #ground: Ground
  #isPaused = false
  #isEnding = false
  #replaced = 0
  readonly #entrance = new Entrance()
  /** Called when all serve for the first time, or with why one does not. */
  #begun: ((wrong: Error | null) => void) | null = null
  #gone = () => {}
  ended: (waits: boolean) => void = () => {}

  constructor(words: ProxyWords, ground: Ground, around: Surroundings, clock: Clock) {
    this.#words = words
    this.#ground = ground
    this.#around = around
    this.#clock = clock
    this.#of = laid(ground).wanted.workers
  }

  say(text: string): void {
    this.#around.output.write(`${printable(text)}\n`)
  }

  async begin({ host, port }: Listen): Promise<Address> {
    // First of all: where it fails nothing has begun.
    const address = await this.#entrance.listen(host, port)
    // Values that JSON does not carry: Infinity, bytes.
    cluster.setupPrimary({ serialization: 'advanced' })
    await new Promise<void>((resolve, reject) => {
      this.#begun = (wrong) => {
        this.#begun = null
        if (wrong === null) resolve()
        else reject(wrong)
      }
      for (let slot = 0; slot < this.#of; slot++) this.#fork(slot, 0)
    })
    return address
  }

  #fork(slot: number, before: number): void {
    const child = cluster.fork()
    const line = new Line<Asked>((message) => child.send(message, () => {}), this.#answers(slot, before), this.#clock)
    const member: Member = { slot, child, line, hasBegun: false, serves: false }
    this.#members.set(slot, member)
    child.on('message', (message: unknown) => {
      if (isHanding(message)) this.#entrance.take(slot, message)
      else line.take(message)
    })
    // A message that its end has overtaken.
    child.on('error', () => {})
    child.once('exit', (code, signal) => this.#left(member, before, signal ?? `exit code ${code}`))
  }

  #left(member: Member, before: number, how: string): void {
    const { slot, child, line } = member
    line.end()
    this.#entrance.leave(slot)
    this.#members.delete(slot)
    if (this.#begun !== null) this.#begun(new Error(`worker ${slot + 1} has ended at its start: ${how}`))
    else if (!this.#isEnding) {
      this.say(`worker ${slot + 1} (process ${child.process.pid}) has ended: ${how}. Another takes its place`)
      this.#replaced++
      const fork = () => {
        if (!this.#isEnding) this.#fork(slot, before + 1)
      }
      if (member.serves) fork()
      else this.#clock.alarm(AGAIN_MILLIS, fork, 'process')
    }
    if (this.#members.size === 0) this.#gone()
  }

  #answers(slot: number, before: number): Answers<Asked> {
    const own = () => this.#members.get(slot)
    return {
      begin: async () => {
        const member = own()
        if (member !== undefined) member.hasBegun = true
        const worker = { slot, of: this.#of, before }
        return { ground: this.#ground, worker, isPaused: this.#isPaused, salting: this.#salting }
      },
      serves: async () => {
        const member = own()
        if (member === undefined || this.#isEnding) return null
        member.serves = true
        this.#entrance.join(slot, member.child)
        const isAll = this.#members.size === this.#of && [...this.#members.values()].every((each) => each.serves)
        if (isAll) this.#begun?.(null)
        return null
      },
      showAll: (what) => this.#all((line) => line.ask('show', what, ANSWER_MILLIS)),
      orderAll: async (order) => (await this.#order(order)).some((found) => found),
      reloadAll: () => this.reload(),
      shutdown: async (waits) => {
        this.ended(waits)
        return null
      },
      cancel: async (request) => {
        const found = this.#members.get(slotOf(request.pid))
        if (found?.hasBegun === true && found.slot !== slot) await found.line.ask('cancel', request)
        return null
      },
    }
  }

  /** Of each worker that serves. One that dies meanwhile is left out. */
  async #all<T>(ask: (line: Line<Asked>) => Promise<T>): Promise<T[]> {
    const asked = [...this.#members.values()].filter(({ hasBegun }) => hasBegun)
    const found = await Promise.allSettled(asked.map(({ line }) => ask(line)))
    return found.flatMap((each, i) => {
      if (each.status === 'fulfilled') return [each.value]
      const { slot } = asked[i] as Member
      if (this.#members.get(slot) !== asked[i]) return []
      throw new Error(`worker ${slot + 1}: ${failureText(each.reason)}`)
    })
  }

  #order(order: Order): Promise<boolean[]> {
    if (order.kind === 'pause' || order.kind === 'kill') this.#isPaused = true
    else if (order.kind === 'resume') this.#isPaused = false
    return this.#all((line) => line.ask('order', order, ANSWER_MILLIS))
  }

  async reload(): Promise<Said | readonly string[]> {
    const refuse = (message: string): Said => {
      this.say(message)
      return { code: 'F0000', message }
    }
    let fresh: ReturnType<typeof regrounded>
    try {
      fresh = regrounded(this.#ground, this.#words, this.#around.environment)
    } catch (error) {
      return refuse(`not reloaded, what was in force stays: ${failureText(error)}`)
    }
    const { ground, warnings } = fresh
    this.#ground = ground
    try {
      await this.#all((line) => line.ask('reload', ground, ANSWER_MILLIS))
    } catch (error) {
      return refuse(`not reloaded everywhere: ${failureText(error)}`)
    }
    this.say(['reloaded', ...warnings].join('; '))
    return warnings
  }

  async metrics(): Promise<readonly Metric[]> {
    const all = await this.#all((line) => line.ask('metrics', null, ANSWER_MILLIS))
    const count = (name: string, type: Metric['type'], help: string, value: number): Metric => {
      return { name, type, help, samples: [{ value }], fold: 'sum' }
    }
    return [
      ...folded(all),
      count('pgherd_proxy_workers', 'gauge', 'Processes that serve clients.', all.length),
      count('pgherd_proxy_workers_replaced_total', 'counter', 'Processes that have died.', this.#replaced),
    ]
  }

  /** Resolves when no worker is left. */
  async end(waits: boolean): Promise<void> {
    this.#isEnding = true
    this.#entrance.close()
    const gone = new Promise<void>((resolve) => {
      this.#gone = resolve
    })
    if (this.#members.size === 0) return
    for (const { child, hasBegun } of this.#members.values()) if (!hasBegun) child.process.kill('SIGKILL')
    const counts = this.#all((line) => line.ask('end', waits, ANSWER_MILLIS)).catch(() => [])
    if (waits) {
      // SIGINT does not wait any longer.
      this.ended = (again) => {
        if (!again) void this.#all((line) => line.ask('end', false, ANSWER_MILLIS)).catch(() => {})
      }
      this.say(`waits for ${(await counts).reduce((sum, count) => sum + count, 0)} clients`)
    }
    const millis = GONE_MILLIS + (waits ? laid(this.#ground).wanted.drainMillis : 0)
    const alarm = this.#clock.alarm(millis, () => this.kill(), 'process')
    await gone
    alarm.cancel()
  }

  kill(): void {
    this.#isEnding = true
    for (const { child } of this.#members.values()) child.process.kill('SIGKILL')
  }
}

export async function workers(words: ProxyWords, ground: Ground, around: Surroundings, clock: Clock): Promise<number> {
  const { wanted } = laid(ground)
  const config = configOf(wanted, around.environment)
  const crew = new Crew(words, ground, around, clock)
  const ended = new Promise<boolean>((resolve) => {
    crew.ended = resolve
  })
  around.signals((signal) => {
    if (signal === 'SIGHUP') void crew.reload()
    else crew.ended(signal === 'SIGTERM')
  })
  const { metrics: told } = wanted
  const metrics = told === null ? null : await serveMetrics(() => crew.metrics(), told.host, told.port)
  let address: Address
  try {
    address = await crew.begin(wanted.listen)
  } catch (error) {
    crew.kill()
    throw error
  }
  const target = targetOf(config.seeds, config.client, around.environment)
  crew.say(`pgherd proxy for ${target} listens on ${addressText(address)}, with ${wanted.workers} workers`)
  if (metrics !== null) crew.say(`metrics on http://${addressText(metrics.address)}/metrics`)
  await crew.end(await ended)
  metrics?.end()
  return 0
}
