// A connection that a client has opened, up to its login: encryption, the startup packet, authentication. Before a client is let in it can
// send small messages only, within the time of a login. Unknown users and wrong passwords look alike.

import { randomBytes } from 'node:crypto'
import type net from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import type { Clock } from '../../runtime/clock.js'
import { challenge, judge, SCRAM, SCRAM_PLUS, type Verifier } from '../auth/scram.js'
import type { Users } from '../auth/users.js'
import type { ProxyOptions } from '../options.js'
import { Framer } from '../wire/framer.js'
import { HEADER_BYTES } from '../wire/letters.js'
import { LOGIN_RULES } from '../wire/rules.js'
import { firstIn, NEWEST_MINOR, type Startup } from '../wire/startup.js'
import { authentication, Code, errorResponse, negotiate, type Said } from '../wire/write.js'

/** TLS for clients. `binding`: of the certificate; null: it has none. */
export interface Tls {
  readonly context: tls.SecureContext
  readonly binding: Buffer | null
  /** A client without TLS is refused. */
  readonly isRequired: boolean
}

/** A client that is let in. */
export interface Guest {
  readonly socket: Duplex
  readonly startup: Startup
  readonly user: string
  readonly database: string
  readonly address: string
  readonly port: number
  readonly isTls: boolean
  /** What it has sent behind its login. */
  readonly rest: Buffer
}

export interface DoorParts {
  readonly clock: Clock
  readonly options: ProxyOptions
  readonly users: Users
  readonly tls: Tls | null
  /** Null: there is room; else why there is none. */
  refuses(startup: Startup): Said | null
  cancel(pid: number, secret: Buffer): Promise<void>
  admit(guest: Guest): void
}

const ALPN = 'postgresql'
const NOTHING = Buffer.alloc(0)

export class Door {
  readonly #parts: DoorParts
  readonly #raw: net.Socket
  #socket: Duplex
  #held: Buffer = NOTHING
  #isTls = false
  #hasAskedTls = false
  #hasAskedGss = false
  #isOver = false
  readonly #alarm: { cancel(): void }

  constructor(socket: net.Socket, parts: DoorParts) {
    this.#parts = parts
    this.#raw = socket
    this.#socket = socket
    socket.setNoDelay(true)
    this.#alarm = parts.clock.alarm(parts.options.clientLoginTimeoutMillis, () =>
      this.#refuse({ code: Code.idleTimeout, message: 'client_login_timeout: the client has not logged in in time' })
    )
    socket.on('error', this.#gone)
    socket.once('close', this.#gone)
    socket.on('data', this.#first)
  }

  readonly #gone = () => {
    this.#isOver = true
    this.#alarm.cancel()
    this.#raw.destroy()
  }

  readonly #first = (chunk: Buffer) => {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    while (!this.#isOver) {
      if (this.#held.length === 0) return
      const found = firstIn(this.#held)
      switch (found.kind) {
        case 'more':
          return
        case 'fault':
          return this.#refuse({ code: Code.protocolViolation, message: found.text })
        case 'tls':
          return this.#direct()
        case 'packet': {
          const { packet, length } = found
          const rest = this.#held.subarray(length)
          this.#held = rest
          if (packet.kind === 'cancel') return this.#cancel(packet.pid, packet.secret)
          if (packet.kind === 'startup') {
            void this.#begin(packet, rest)
            return
          }
          const isSecond = packet.kind === 'ssl' ? this.#hasAskedTls || this.#isTls : this.#hasAskedGss || this.#isTls
          if (isSecond) return this.#refuse({ code: Code.protocolViolation, message: 'unexpected encryption request' })
          if (packet.kind === 'gss') this.#hasAskedGss = true
          else this.#hasAskedTls = true
          const accepts = packet.kind === 'ssl' && this.#parts.tls !== null
          // Bytes that came before the handshake are not of the client that is authenticated behind it (CVE-2021-23214).
          if (accepts && rest.length > 0)
            return this.#refuse({
              code: Code.protocolViolation,
              message: 'received unencrypted data after SSL request',
            })
          this.#socket.write(accepts ? 'S' : 'N')
          if (accepts) return this.#secure(false)
        }
      }
    }
  }

  /** A TLS handshake without a request (libpq's sslnegotiation=direct): ALPN must name the protocol. */
  #direct(): void {
    if (this.#parts.tls === null || this.#isTls || this.#hasAskedTls) {
      this.#gone()
      return
    }
    const chunk = this.#held
    this.#held = NOTHING
    this.#raw.removeListener('data', this.#first)
    this.#raw.pause()
    this.#raw.unshift(chunk)
    this.#secure(true)
  }

  #secure(isDirect: boolean): void {
    const own = this.#parts.tls
    if (own === null) {
      this.#gone()
      return
    }
    this.#raw.removeListener('data', this.#first)
    const secure = new tls.TLSSocket(this.#raw, { isServer: true, secureContext: own.context, ALPNProtocols: [ALPN] })
    this.#isTls = true
    this.#socket = secure
    secure.on('error', this.#gone)
    secure.once('close', this.#gone)
    secure.once('secure', () => {
      if (isDirect && secure.alpnProtocol !== ALPN) return this.#gone()
      secure.on('data', this.#first)
    })
  }

  #cancel(pid: number, secret: Buffer): void {
    this.#leave()
    // The client waits for the end of the connection: it comes when the request has been passed on.
    void this.#parts
      .cancel(pid, secret)
      .catch(() => {})
      .then(() => this.#socket.end())
  }

  async #begin(startup: Startup, rest: Buffer): Promise<void> {
    this.#socket.removeListener('data', this.#first)
    const { parameters, minor, extensions } = startup
    if (minor > NEWEST_MINOR || extensions.length > 0)
      this.#socket.write(negotiate(Math.min(minor, NEWEST_MINOR), extensions))
    const user = parameters.get('user') ?? ''
    const database = parameters.get('database') || user
    if (user === '')
      return this.#refuse({
        code: Code.noAuthorization,
        message: 'no PostgreSQL user name specified in startup packet',
      })
    if (this.#parts.tls?.isRequired && !this.#isTls)
      return this.#refuse({ code: Code.noAuthorization, message: 'this proxy takes connections with TLS only' })
    const replication = parameters.get('replication')
    if (replication !== undefined && !/^(?:false|off|no|0)$/i.test(replication))
      return this.#refuse({ code: Code.notSupported, message: 'the proxy does not take replication connections' })
    const full = this.#parts.refuses(startup)
    if (full !== null) return this.#refuse(full)
    if (this.#parts.options.authType === 'trust') return this.#welcome(startup, user, database, rest)
    const framer = new Framer(LOGIN_RULES)
    framer.push(rest)
    try {
      const login = new Sasl(
        this.#socket,
        framer,
        user,
        this.#parts.users,
        this.#isTls ? (this.#parts.tls?.binding ?? null) : null
      )
      const said = await login.done()
      if (this.#isOver) return
      if (said !== null) return this.#refuse(said)
      this.#welcome(startup, user, database, framer.rest())
    } catch (error) {
      if (this.#isOver) return
      const message = `the secret of the user cannot be read: ${error instanceof Error ? error.message : String(error)}`
      this.#refuse({ code: Code.cannotConnectNow, message })
    }
  }

  #welcome(startup: Startup, user: string, database: string, rest: Buffer): void {
    this.#leave()
    const { remoteAddress = '', remotePort = 0 } = this.#raw
    this.#parts.admit({
      socket: this.#socket,
      startup,
      user,
      database,
      address: remoteAddress,
      port: remotePort,
      isTls: this.#isTls,
      rest,
    })
  }

  #leave(): void {
    this.#alarm.cancel()
    this.#isOver = true
    this.#socket.removeListener('data', this.#first)
    this.#raw.removeListener('close', this.#gone)
    this.#socket.removeListener('close', this.#gone)
  }

  #refuse(said: Said): void {
    if (this.#isOver) return
    this.#leave()
    this.#socket.end(errorResponse({ severity: 'FATAL', ...said }))
    // A peer that does not close keeps nothing.
    this.#parts.clock.alarm(LINGER_MILLIS, () => this.#raw.destroy())
  }
}

const LINGER_MILLIS = 1000

/** The SCRAM exchange with one client. */
class Sasl {
  readonly #socket: Duplex
  readonly #framer: Framer
  readonly #user: string
  readonly #users: Users
  readonly #binding: Buffer | null

  constructor(socket: Duplex, framer: Framer, user: string, users: Users, binding: Buffer | null) {
    this.#socket = socket
    this.#framer = framer
    this.#user = user
    this.#users = users
    this.#binding = binding
  }

  /** Null: the client may come in. */
  async done(): Promise<Said | null> {
    const { verifier, isReal } = await this.#users.verifier(this.#user)
    const offered = this.#binding === null ? [SCRAM] : [SCRAM_PLUS, SCRAM]
    this.#socket.write(authentication(10, `${offered.join('\0')}\0\0`))
    const opening = await this.#message()
    if (typeof opening === 'string') return bad(opening)
    const zero = opening.indexOf(0)
    const mechanism = opening.toString('latin1', 0, Math.max(0, zero))
    if (zero === -1 || zero + 5 > opening.length || !offered.includes(mechanism))
      return bad('client selected an invalid SASL authentication mechanism')
    let first = ''
    const length = opening.readInt32BE(zero + 1)
    if (length === -1) {
      // No initial response: an empty challenge asks for it.
      this.#socket.write(authentication(11, ''))
      const later = await this.#message()
      if (typeof later === 'string') return bad(later)
      first = later.toString('utf8')
    } else if (length === opening.length - zero - 5) first = opening.toString('utf8', zero + 5)
    else return bad('malformed SASL message')
    const asked = challenge(mechanism, first, verifier, randomBytes(18).toString('base64'), this.#binding)
    if (asked.kind === 'fault') return bad(asked.text)
    this.#socket.write(authentication(11, asked.text))
    const last = await this.#message()
    if (typeof last === 'string') return bad(last)
    const proved = judge(asked.exchange, last.toString('utf8'))
    if (proved.kind === 'fault') return bad(proved.text)
    if (proved.kind === 'refused' || !isReal) {
      this.#users.doubt(this.#user)
      return { code: Code.wrongPassword, message: `password authentication failed for user "${this.#user}"` }
    }
    this.#users.proved(this.#user, proved.clientKey, verifier satisfies Verifier)
    this.#socket.write(authentication(12, proved.signature))
    return null
  }

  /** The body of the next message; a text: what is wrong with it. */
  #message(): Promise<Buffer | string> {
    const framer = this.#framer
    return new Promise((resolve) => {
      const look = (): boolean => {
        if (framer.next()) resolve(Buffer.from(framer.bytes.subarray(framer.from + HEADER_BYTES, framer.to)))
        else if (framer.fault !== null) resolve(`expected a SASL response, got ${framer.fault}`)
        else return false
        return true
      }
      if (look()) return
      const data = (chunk: Buffer) => {
        framer.push(chunk)
        if (!look()) return
        this.#socket.pause()
        this.#socket.removeListener('data', data)
      }
      this.#socket.on('data', data)
      this.#socket.resume()
    })
  }
}

function bad(message: string): Said {
  return { code: Code.protocolViolation, message }
}
