// What a process may ask of the others that serve the same clients. Types only.

import type { Worker } from '../options.js'
import type { Rows } from '../session/local.js'
import type { Order, Shown } from './commands.js'

/** The processes that serve the same clients, this one among them. */
export interface Team {
  readonly worker: Worker
  /** Of every process. */
  show(what: Exclude<Shown, 'help'>): Promise<readonly Rows[]>
  /** False: no process has found what the order is about. */
  order(order: Order): Promise<boolean>
  /** A cancel request for a client of another one. Resolves when it was passed on. */
  cancel(pid: number, secret: Buffer): Promise<void>
}
