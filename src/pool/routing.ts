// From a statement and the pool's options to an errand: what it needs, where it may go, whether it may be repeated. Pure but
// for its memory of texts already read.

import type { Config } from '../config.js'
import { inspect, type Verdict } from '../core/classify.js'
import type { Repeatable } from '../core/failure.js'
import { Memo } from '../core/memo.js'
import type { Target } from '../core/selection.js'
import type { Errand } from '../herd/herd.js'
import type { QueryArgs } from './query-args.js'

/** An errand, and whether what it runs only reads. */
export interface Routed extends Errand {
  readonly reading: boolean
}

const NEVER_AGAIN: Repeatable = { read: false, whole: false }

export const ON_PRIMARY: Routed = { target: { role: 'primary' }, repeat: () => NEVER_AGAIN, reading: false }

/** Where the caller stands: what it wrote, and whether it may have done so asynchronously. */
export interface Written {
  /** On the monotonic clock, in milliseconds. */
  readonly since: number | null
  readonly asynchronous: boolean
}

const REMEMBERED = 1000

export class Routing {
  readonly #config: Config
  readonly #texts = new Memo<Verdict>(REMEMBERED)

  constructor(config: Config) {
    this.#config = config
  }

  read(text: string): Verdict {
    return this.#texts.of(text, inspect)
  }

  /** The errand of a statement; `verdict` null: there is no text to judge it by. */
  route(args: QueryArgs, verdict: Verdict | null, written: Written): Routed {
    const reading = verdict?.intent === 'read'
    const whole = verdict?.repeatable === true
    const repeat = () => ({ read: reading, whole })
    const wish = args.route === 'auto' ? (verdict?.hint ?? 'auto') : args.route
    const { attributes } = this.#config
    if (attributes === 'standby' || (wish === 'replica' && attributes === 'any')) {
      // The caller insists: what a replica refuses is the caller's error to see.
      const otherwise = reading && attributes === 'any' && this.#config.whenStale === 'primary' ? 'primary' : 'refuse'
      const insisted = reading ? repeat : () => NEVER_AGAIN
      return { target: this.#replica(args.maxLagMillis, written, otherwise), repeat: insisted, reading }
    }
    if (!reading || wish === 'primary' || attributes === 'primary') {
      return { target: { role: 'primary' }, repeat, reading }
    }
    const otherwise = this.#config.whenStale === 'primary' ? 'primary' : 'refuse'
    return { target: this.#replica(args.maxLagMillis, written, otherwise), repeat, reading }
  }

  /** On the only server: nothing is read before something has failed, and then only to tell what became of it. */
  onlyServer(text: string): Routed {
    return { ...ON_PRIMARY, repeat: () => ({ read: false, whole: this.read(text).repeatable }) }
  }

  /** A client to hold, where only replicas may serve. */
  anyReplica(written: Written): Routed {
    const target = this.#replica(undefined, written, 'refuse')
    return { target, repeat: () => NEVER_AGAIN, reading: true }
  }

  #replica(own: number | undefined, written: Written, otherwise: 'primary' | 'refuse'): Target {
    const { maxLagMillis, maxLagBytes, maxStaleMillis, readYourWrites } = this.#config
    const bound = own ?? maxLagMillis
    return {
      role: 'replica',
      need: {
        maxLagMillis: bound,
        since: readYourWrites === 'pool' ? written.since : null,
        asynchronous: written.asynchronous,
      },
      maxLagBytes,
      // A bound of 0 means the primary, also while there is none.
      maxStaleMillis: bound === 0 ? 0 : maxStaleMillis,
      otherwise,
    }
  }
}
