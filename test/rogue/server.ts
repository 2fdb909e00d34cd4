// A rogue server: listens on loopback, plays one script for each connection, and keeps what it was given of passwords.

import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { reset } from '../../src/runtime/sockets.js'
import type { Random } from '../support/grammar.js'
import { message, ready } from '../support/messages.js'
import {
  continuationOf,
  flood,
  invented,
  requestOf,
  rowsFor,
  type Script,
  scriptOf,
  unproven,
  welcome,
} from './script.js'

/** How long a connection that hangs or drips is kept: a client of ours has given it up before. */
const KEPT_MILLIS = 3000
const MOST_DRIPPED = 200

/** Of all servers together, so that a short run meets everything. */
let resets = 0

export class Rogue {
  readonly #random: Random
  readonly #identifier: string
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #connections = 0
  /** What clients sent as passwords: in clear, or hashed so that it is as good. */
  readonly credentials: string[] = []

  constructor(random: Random, identifier: string) {
    this.#random = random
    this.#identifier = identifier
    this.#server = createServer((socket) => this.#serve(socket))
  }

  get connections(): number {
    return this.#connections
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    return address.port
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => {})
    const script = scriptOf(this.#connections++ % 3 === 0 ? resets++ : null, this.#random)
    const mouth = new Mouth(socket, script, this.#random)
    let state: 'startup' | 'login' | 'in' = 'startup'
    let bytes = Buffer.alloc(0)
    let parsed = ''
    const letIn = () => {
      state = 'in'
      mouth.say(welcome(this.#random))
    }
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      for (;;) {
        const header = state === 'startup' ? 0 : 1
        if (bytes.length < header + 4) return
        const length = bytes.readUInt32BE(header)
        if (length < 4 || bytes.length < header + length) return
        const type = header === 0 ? '' : String.fromCharCode(bytes[0] ?? 0)
        const body = bytes.subarray(header + 4, header + length)
        bytes = bytes.subarray(header + length)
        if (type === '') {
          const code = body.readUInt32BE(0)
          if (code === 80877103) socket.write('N')
          else if (code === 80877102) socket.destroy()
          else {
            const request = requestOf(script, this.#random)
            state = 'login'
            if (request === null) letIn()
            else mouth.say(request)
          }
        } else if (type === 'p') {
          this.#noteCredential(script, body)
          if (script.auth === 'sasl' && !body.includes('c=')) {
            mouth.say(continuationOf(this.#random, /r=(.*)$/.exec(body.toString())?.[1] ?? ''))
          } else {
            if (script.auth === 'sasl' && body.includes('c=')) mouth.say(unproven)
            letIn()
          }
        } else if (type === 'X') socket.end()
        else if (type === 'Q') {
          if (script.auth === 'sasl') this.credentials.push('a statement, without the proof of SCRAM')
          mouth.say(rowsFor(body.toString().replace(/\0$/, ''), script, this.#identifier, this.#random))
          mouth.say(ready)
        } else if (type === 'P') {
          if (script.auth === 'sasl') this.credentials.push('a statement, without the proof of SCRAM')
          parsed = body.toString('latin1').split('\0')[1] ?? ''
          mouth.say(message('1'))
        } else if (type === 'B') mouth.say(message('2'))
        else if (type === 'E') mouth.say(rowsFor(parsed, script, this.#identifier, this.#random))
        else if (type === 'S') mouth.say(ready)
      }
    })
  }

  #noteCredential({ auth }: Script, body: Buffer): void {
    if (auth === 'password' || auth === 'md5') this.credentials.push(`${auth}: ${body.length} bytes`)
  }
}

/** Sends as the script has it, and breaks where that says so. */
class Mouth {
  readonly #socket: Socket
  readonly #script: Script
  readonly #random: Random
  #said = 0
  #silent = false

  constructor(socket: Socket, script: Script, random: Random) {
    this.#socket = socket
    this.#script = script
    this.#random = random
  }

  say(bytes: Buffer): void {
    if (this.#silent) return
    const breaks = this.#script.break
    const before = this.#said
    this.#said += bytes.length
    if (breaks === null || breaks.at < before || breaks.at >= this.#said) {
      this.#socket.write(bytes)
      return
    }
    this.#go(bytes.subarray(0, breaks.at - before), bytes.subarray(breaks.at - before), breaks.how)
  }

  #go(head: Buffer, tail: Buffer, how: NonNullable<Script['break']>['how']): void {
    const socket = this.#socket
    const random = this.#random
    socket.write(head)
    const last = (act: () => void) => {
      this.#silent = true
      // What was said before is to arrive.
      setTimeout(act, 1)
    }
    switch (how) {
      case 'reset':
        last(() => reset(socket, socket))
        return
      case 'close':
        last(() => socket.end())
        return
      case 'hang':
        last(() => setTimeout(() => socket.destroy(), KEPT_MILLIS))
        return
      case 'drip':
        this.#silent = true
        this.#drip(tail, 0)
        return
      case 'flip': {
        const changed = Buffer.from(tail)
        for (let i = 0; i <= random.below(3); i++)
          changed[random.below(Math.min(changed.length, 60))] = random.below(256)
        socket.write(changed)
        return
      }
      case 'lie': {
        const changed = Buffer.from(tail)
        if (changed.length >= 5) changed.writeInt32BE(random.pick([0, 3, 5, -1, 2_147_483_647, 1 << 20]), 1)
        socket.write(changed)
        return
      }
      case 'drop':
        socket.write(tail.subarray(random.below(tail.length)))
        return
      case 'repeat':
        socket.write(Buffer.concat([tail, tail]))
        return
      case 'invent':
        socket.write(Buffer.concat([...Array.from({ length: 1 + random.below(3) }, () => invented(random)), tail]))
        return
      case 'flood':
        socket.write(Buffer.concat([flood(random), tail]))
        return
      default:
        how satisfies never
    }
  }

  #drip(bytes: Buffer, at: number): void {
    if (at >= bytes.length || at >= MOST_DRIPPED || this.#socket.destroyed) {
      this.#socket.destroy()
      return
    }
    this.#socket.write(bytes.subarray(at, at + 1))
    setTimeout(() => this.#drip(bytes, at + 1), 2)
  }
}
