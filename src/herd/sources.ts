// When to ask the discovery sources: at the start, and every few seconds while statements come, or as soon as a source says that its
// answer is outdated. They are asked at once when a server is lost and when a statement begins to wait, and then twice a second until
// there is a primary. A source that fails or answers nothing changes nothing: the last good list stands, and the source is asked again
// soon, then less and less often.

import type { Config } from '../config/config.js'
import { keyOf, type NodeAddress, traitsOf } from '../core/cluster/address.js'
import { failureOf } from '../core/cluster/failure.js'
import { isLost } from '../core/cluster/outage.js'
import type { Topology } from '../core/cluster/topology.js'
import { type Discovery, fixed } from '../discovery/discovery.js'
import { nameSource, namesOf } from '../discovery/dns.js'
import { PatroniMembers, type PatroniSettings, urlsOf } from '../discovery/patroni.js'
import { replicasOf } from '../discovery/replication.js'
import type { Alarm, Clock } from '../runtime/clock.js'
import { jittered } from '../runtime/clock.js'
import type { Store } from './store.js'

const INTERVAL_MILLIS = 5_000
const RETRY_MILLIS = 500

interface Round {
  readonly source: Discovery
  alarm: Alarm | null
  asking: boolean
  /** On the monotonic clock: when the source was asked last. */
  askedAt: number
  /** When the source will be asked next. */
  dueAt: number
  /** The source was asked before the primary was lost, so its answer may be outdated. It is asked again then. */
  again: boolean
  /** How many times in a row it could not be asked. */
  failures: number
  news: string | null
}

export class Sources {
  readonly #store: Store
  readonly #clock: Clock
  readonly #rounds: readonly Round[]
  readonly #resting: () => boolean
  readonly #look: () => void
  #stopped = false

  /** `look`: a source says that something has changed, so all servers are looked at. */
  constructor(
    store: Store,
    clock: Clock,
    sources: readonly Discovery[],
    resting: () => boolean,
    look: () => void = () => {}
  ) {
    this.#look = look
    this.#store = store
    this.#clock = clock
    this.#rounds = sources.map((source) => ({
      source,
      alarm: null,
      asking: false,
      askedAt: -Infinity,
      dueAt: Infinity,
      again: false,
      failures: 0,
      news: null,
    }))
    this.#resting = resting
  }

  start(): void {
    this.wake()
  }

  /** Asks every source now. */
  wake(): void {
    for (const round of this.#rounds) {
      round.again = round.asking
      void this.#ask(round)
    }
  }

  /** Statements wait for the next answer. Asks now if the last question is long enough ago, else as soon as it is. */
  hurry(): void {
    if (this.#stopped) return
    const now = this.#clock.mono()
    for (const round of this.#rounds) {
      const dueAt = round.askedAt + RETRY_MILLIS
      if (dueAt <= now) void this.#ask(round)
      else if (!round.asking && dueAt < round.dueAt) this.#askIn(round, dueAt - now)
    }
  }

  stop(): void {
    this.#stopped = true
    for (const { alarm, source } of this.#rounds) {
      alarm?.cancel()
      source.stop?.()
    }
  }

  async #ask(round: Round): Promise<void> {
    if (round.asking || this.#stopped) return
    round.asking = true
    round.askedAt = this.#clock.mono()
    round.alarm?.cancel()
    const { name: source } = round.source
    try {
      const found = round.source.discover()
      // The first statement must not wait for an answer that is known: with one server it dials before it returns, as with pg.
      const addresses = found instanceof Promise ? await found : found
      round.failures = 0
      this.#tell(() => this.#store.dispatch({ kind: 'discovered', source, addresses, at: this.#clock.now() }))
      const { news = null } = round.source
      if (news !== round.news && !this.#stopped) this.#look()
      round.news = news
    } catch (error) {
      round.failures++
      const failure = failureOf(error, 'connect')
      this.#tell(() => this.#store.dispatch({ kind: 'discovery-failed', source, failure, at: this.#clock.now() }))
    } finally {
      round.asking = false
    }
    if (round.again) {
      round.again = false
      return this.#ask(round)
    }
    // Without statements no address is needed, and the next statement wakes the sources.
    if (this.#stopped || this.#resting()) return
    this.#askIn(round, jittered(this.#pauseOf(round), this.#clock))
  }

  #pauseOf({ source, failures }: Round): number {
    if (isLost(this.#store.topology) || this.#store.waiting > 0) return RETRY_MILLIS
    const usual = source.dueMillis ?? INTERVAL_MILLIS
    return failures === 0 ? usual : Math.min(usual, RETRY_MILLIS * 2 ** (failures - 1))
  }

  #askIn(round: Round, millis: number): void {
    round.alarm?.cancel()
    round.dueAt = this.#clock.mono() + millis
    round.alarm = this.#clock.alarm(millis, () => void this.#ask(round))
  }

  #tell(dispatch: () => void): void {
    if (!this.#stopped) dispatch()
  }
}

/** The sources that the configured hosts stand for. */
export function sourcesOf(config: Config, store: Store): readonly Discovery[] {
  return [...hostsOf(config), ...(config.patroni === null ? [] : [membersOf(config, config.patroni, store)])]
}

/** Where Patroni has members; `onDiscover` says which of them may be used beside those that are named. */
function membersOf({ seeds, onDiscover }: Config, settings: PatroniSettings, store: Store): Discovery {
  const isNamed = (address: NodeAddress) => store.topology.nodes.get(keyOf(address))?.address.origin === 'configured'
  const members = new PatroniMembers(urlsOf(settings, [...new Set(seeds.map(({ host }) => host))]), settings.tls)
  return {
    name: members.name,
    dueMillis: members.dueMillis,
    get news() {
      return members.news
    },
    discover: async () => (await members.discover()).filter((address) => isNamed(address) || onDiscover(address)),
    stop: () => members.stop(),
  }
}

function hostsOf(config: Config): readonly Discovery[] {
  const literal = config.seeds.filter(({ lookup }) => !lookup)
  const addresses = literal.map(
    (seed): NodeAddress => ({
      host: seed.host,
      port: seed.port,
      servername: null,
      origin: 'configured',
      ...traitsOf(seed),
    })
  )
  const named = config.seeds.filter(({ lookup }) => lookup)
  const names = namesOf(config.dns)
  return [
    ...(addresses.length > 0 ? [fixed(addresses)] : []),
    ...named.map((seed) => nameSource(seed, config.dns, names)),
  ]
}

/** The primary names its replicas in every full probe. */
export function discoverReplicas(store: Store, clock: Clock, config: Config, after: Topology, before: Topology): void {
  const primary = after.primary === null ? undefined : after.nodes.get(after.primary)
  const senders = primary?.seen?.detail?.senders
  if (primary === undefined || senders === undefined) return
  if (senders === before.nodes.get(primary.key)?.seen?.detail?.senders && after.primary === before.primary) return
  const { replication, onDiscover } = config
  const source = 'replication'
  const at = clock.now()
  try {
    const origin = replication.use ? 'discovered' : 'shown'
    const found = replicasOf(senders, primary.address, replication.settings, origin)
    const addresses = found.filter((address) => after.nodes.has(keyOf(address)) || onDiscover(address))
    store.dispatch({ kind: 'discovered', source, addresses, at })
  } catch (error) {
    // The user's mapper or onDiscover threw. That makes the source blind and breaks no loop. The errors that list nodes show it.
    store.dispatch({ kind: 'discovery-failed', source, failure: failureOf(error, 'connect'), at })
  }
}
