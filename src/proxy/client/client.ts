// One client that is let in: takes its messages, and has each of its units run. What the server says passes to the client as it comes.

import type { Duplex } from 'node:stream'
import type { ServerConnection } from '../server/connection.js'
import type { Running } from '../server/job.js'
import type { Framer } from '../wire/framer.js'
import { Front } from '../wire/letters.js'
import { Code, errorResponse, ready, type Said, type Status } from '../wire/write.js'
import { Inlet, type Taker } from './inlet.js'
import { Outlet } from './outlet.js'
import type { ClientParts, Identity } from './parts.js'
import { type Home, Runner } from './runner.js'

const GONE_MILLIS = 1000
const AGAIN_MILLIS = 100

export class Client implements Home, Taker {
  readonly identity: Identity
  readonly outlet: Outlet
  readonly #parts: ClientParts
  readonly #socket: Duplex
  readonly #inlet: Inlet
  readonly #runner: Runner
  #skipping: Status | null = null
  #isGone = false
  isEnding = false
  units = 0

  constructor(socket: Duplex, identity: Identity, parts: ClientParts) {
    this.identity = identity
    this.#parts = parts
    this.#socket = socket
    this.outlet = new Outlet(socket, identity.told)
    this.#runner = new Runner(this, identity, parts)
    this.#inlet = new Inlet(socket, parts.rules, this)
    socket.once('close', () => this.#gone())
    socket.on('error', () => socket.destroy())
    if (identity.rest.length > 0) this.#inlet.push(identity.rest)
    socket.resume()
  }

  get isGone(): boolean {
    return this.#isGone
  }

  /** The server connection that it has now. */
  get link(): ServerConnection | null {
    return this.#runner.now.connection ?? this.#runner.kept?.connection ?? null
  }

  get isActive(): boolean {
    return this.#runner.now.unit !== null
  }

  get inTransaction(): boolean {
    return this.#runner.isBlockLost || this.#runner.kept?.inBlock === true
  }

  get isWaiting(): boolean {
    return this.#runner.now.unit !== null && this.#runner.now.running === null
  }

  get waitingSince(): number | null {
    return this.#runner.now.waitingSince
  }

  get prepared(): number {
    return this.#runner.intake.named
  }

  get counts(): { readonly units: number; readonly received: number; readonly sent: number } {
    return { units: this.units, received: this.#inlet.received, sent: this.outlet.sent }
  }

  // What the client sends.

  mayTake({ type, begins }: Framer): boolean {
    const { unit, running, isChoked } = this.#runner.now
    if (unit === null) return true
    if (isChoked || running === null) return false
    // A COPY is fed; a Sync that was sent ahead of it the server has ignored.
    return !begins || !unit.isComplete || (running.hasCopied && COPYING.has(type))
  }

  take(piece: Framer): boolean {
    const { type, begins, ends } = piece
    if (this.#skipping !== null) {
      if (begins && type === Front.sync) this.#endSkipping(this.#skipping)
      return true
    }
    const { intake, now } = this.#runner
    const { unit, running } = now
    const isRunning = unit !== null && running !== null
    if (isRunning && (!begins || (unit.isComplete && COPYING.has(type)))) {
      now.send([piece.bytes.subarray(piece.from, piece.to)])
      return true
    }
    switch (intake.take(piece)) {
      case 'more':
        if (!ends) this.#due()
        return true
      case 'due':
        this.#due()
        return true
      case 'copy':
        // Outside of a COPY a server ignores it.
        if (isRunning) now.send([piece.bytes.subarray(piece.from, piece.to)])
        return true
      case 'body':
        return true
      case 'end':
        this.#socket.end()
        this.#gone()
        return false
      case 'fault':
        this.breaks(intake.fault)
        return false
    }
  }

  breaks(fault: string): void {
    this.close({ code: Code.protocolViolation, message: fault })
  }

  #endSkipping(status: Status): void {
    this.#skipping = null
    this.outlet.write(ready(status), null)
  }

  skip(status: Status): void {
    this.#skipping = status
  }

  /** A unit is to be sent, or more of the one that was sent in part. */
  #due(): void {
    const { intake } = this.#runner
    const unit = intake.unit()
    if (this.#runner.now.unit === null && unit.mayBeCut) {
      unit.cut()
      intake.drop()
    } else if (!unit.isComplete) intake.continued()
    if (this.#runner.now.unit !== null) {
      this.#runner.now.extend(unit)
      return
    }
    this.units++
    void this.#runner.perform(unit)
  }

  again(): void {
    this.#inlet.again()
  }

  later(): void {
    this.#inlet.later()
  }

  rests(): void {
    if (this.#isGone) this.#runner.letGo()
    else if (this.isEnding && this.#runner.kept === null) this.close(ENDING)
    else this.#inlet.again()
  }

  // How it ends.

  close(said: Said): void {
    if (this.#isGone) return
    this.outlet.write(errorResponse({ severity: 'FATAL', ...said }), null)
    this.#socket.end()
    this.#gone()
    this.#parts.clock.alarm(GONE_MILLIS, () => this.#socket.destroy())
  }

  /** A cancel request of the client. */
  cancel(): Promise<void> {
    const { withdraw, connection, running } = this.#runner.now
    if (withdraw !== null) withdraw()
    else if (connection !== null && running !== null) return this.#parts.cancel(connection)
    return Promise.resolve()
  }

  /** A request that overtakes its statement finds nothing to cancel, and no answer says so: it is sent again. */
  async #cancelAll(connection: ServerConnection, running: Running | null): Promise<void> {
    for (let pause = AGAIN_MILLIS; this.#runner.now.running === running && !connection.isDead; pause *= 2) {
      await this.#parts.cancel(connection)
      await new Promise<void>((resolve) => this.#parts.clock.alarm(pause, resolve))
    }
  }

  #gone(): void {
    if (this.#isGone) return
    this.#parts.left(this.identity.id)
    this.#isGone = true
    this.#inlet.end()
    this.outlet.end()
    const { unit, withdraw, connection, running } = this.#runner.now
    if (unit === null) this.#runner.letGo()
    else if (withdraw !== null) withdraw()
    else if (connection === null) return
    // What a COPY waits for will not come.
    else if (running?.hasCopied || !unit.isComplete) connection.end('reset')
    else void this.#cancelAll(connection, running)
  }
}

const ENDING: Said = { code: Code.adminShutdown, message: 'the proxy is shutting down' }
const COPYING: ReadonlySet<number> = new Set([Front.copyData, Front.copyDone, Front.copyFail, Front.sync, Front.flush])
