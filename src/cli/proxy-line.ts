// What the processes of one proxy ask each other, and the line between two of them: questions and answers over a channel that carries values.

import type { Order, Shown } from '../proxy/console/commands.js'
import type { Metric } from '../proxy/metrics.js'
import type { Worker } from '../proxy/options.js'
import type { Rows } from '../proxy/session/local.js'
import type { Said } from '../proxy/wire/write.js'
import type { Clock } from '../runtime/clock.js'
import { failureText } from './proxy-around.js'
import type { Ground } from './proxy-ground.js'

/** With what a worker begins. */
export interface Beginning {
  readonly ground: Ground
  readonly worker: Worker
  readonly isPaused: boolean
  /** Salts of logins are made of it. */
  readonly salting: Uint8Array
}

export interface Address {
  readonly address: string
  readonly port: number
}

/** What a process asks the other, and what it gets. */
export interface Questions {
  // Of a worker.
  begin: (wants: null) => Beginning
  serves: (wants: null) => null
  showAll: (what: Exclude<Shown, 'help'>) => readonly Rows[]
  orderAll: (order: Order) => boolean
  reloadAll: (wants: null) => Said | readonly string[]
  shutdown: (waits: boolean) => null
  // Of the parent.
  show: (what: Exclude<Shown, 'help'>) => Rows
  order: (order: Order) => boolean
  metrics: (wants: null) => readonly Metric[]
  reload: (ground: Ground) => null
  /** It waits for transactions, and goes. So many clients it has. */
  end: (waits: boolean) => number
  // Of both: a cancel request for a client of another worker.
  cancel: (request: { readonly pid: number; readonly secret: Uint8Array }) => null
}

export type Name = keyof Questions
type Given<N extends Name> = Parameters<Questions[N]>[0]
type Got<N extends Name> = ReturnType<Questions[N]>

/** What this end answers. */
export type Answers<N extends Name> = { readonly [K in N]: (given: Given<K>) => Promise<Got<K>> }

interface Message {
  readonly line: 'asks' | 'answers' | 'fails'
  readonly id: number
  readonly name: string
  readonly value: unknown
}

interface Pending {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

export class Line<N extends Name> {
  readonly #send: (message: Message) => void
  readonly #answers: Answers<N>
  readonly #clock: Clock
  readonly #pending = new Map<number, Pending>()
  #last = 0
  #isOver = false

  constructor(send: (message: Message) => void, answers: Answers<N>, clock: Clock) {
    this.#send = send
    this.#answers = answers
    this.#clock = clock
  }

  /** Rejects when the other end is gone, or has not answered in `millis`; 0: there is no limit. */
  ask<K extends Name>(name: K, value: Given<K>, millis = 0): Promise<Got<K>> {
    if (this.#isOver) return Promise.reject(new Error('the process is gone'))
    const id = ++this.#last
    return new Promise<Got<K>>((resolve, reject) => {
      const alarm =
        millis === 0 ? null : this.#clock.alarm(millis, () => over(reject, new Error('the process does not answer')))
      const over = <T>(settle: (value: T) => void, settled: T) => {
        alarm?.cancel()
        this.#pending.delete(id)
        settle(settled)
      }
      this.#pending.set(id, {
        resolve: (got) => over(resolve, got as Got<K>),
        reject: (error) => over(reject, error),
      })
      this.#send({ line: 'asks', id, name, value })
    })
  }

  /** A message of the other end. */
  take(message: unknown): void {
    const { line, id, name, value } = message as Message
    if (line === 'asks') void this.#answer(id, name, value)
    else if (line === 'answers') this.#pending.get(id)?.resolve(value)
    else if (line === 'fails') this.#pending.get(id)?.reject(new Error(String(value)))
  }

  async #answer(id: number, name: string, value: unknown): Promise<void> {
    const answer = this.#answers[name as N] as ((given: unknown) => Promise<unknown>) | undefined
    let said: Message
    try {
      said = { line: 'answers', id, name, value: await answer?.(value) }
    } catch (error) {
      said = { line: 'fails', id, name, value: failureText(error) }
    }
    if (!this.#isOver) this.#send(said)
  }

  /** The other end is gone. */
  end(): void {
    this.#isOver = true
    for (const { reject } of [...this.#pending.values()]) reject(new Error('the process is gone'))
  }
}
