// A connection to one server, from the socket to ReadyForQuery: TLS, startup, authentication by a password or by the keys of a client.
// What the server sends is checked message by message; the worst that it can do is fail its own connection.

import { randomBytes } from 'node:crypto'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { serialize } from 'pg-protocol'
import type { NodeAddress } from '../../core/cluster/address.js'
import type { Source, Spoken } from '../../core/cluster/failure.js'
import { PgherdError } from '../../errors.js'
import { authenticationIn, isWellFormed, spokenIn } from '../../pg/messages.js'
import type { AuthRule } from '../../pg/weak-auth.js'
import type { Clock } from '../../runtime/clock.js'
import { bindingOf } from '../auth/binding.js'
import { answer, md5Answer, md5Of, type Opening, open, type Secret } from '../auth/scram.js'
import { Framer } from '../wire/framer.js'
import { Back, HEADER_BYTES } from '../wire/letters.js'
import { SERVER_RULES } from '../wire/rules.js'
import { SSL_REQUEST, startup } from '../wire/write.js'
import { messageIn, ServerError } from './question.js'

/** How a server is reached, and as which user. */
export interface Dialing {
  readonly address: NodeAddress
  readonly ssl: boolean | Readonly<Record<string, unknown>>
  readonly user: string
  readonly database: string
  /** Null: the server must let this user in without. */
  readonly secret: Secret | null
  /** More of the startup packet. */
  readonly parameters: ReadonlyMap<string, string>
  readonly rule: AuthRule
  readonly timeoutMillis: number
}

/** A session that is ready. */
export interface Dialed {
  readonly socket: Duplex
  /** Beneath it, or it itself. */
  readonly tcp?: net.Socket | undefined
  readonly parameters: ReadonlyMap<string, string>
  /** Null: the server has given none, so it takes no cancel request. */
  readonly pid: number | null
  readonly secret: Buffer
}

/** Why a connection could not be had. */
export class DialError extends Error {
  readonly error: unknown
  readonly source: Source

  constructor(error: unknown, source: Source) {
    super(error instanceof Error ? error.message : String(error))
    this.error = error
    this.source = source
  }
}

/** An open socket to the server, with TLS where that is asked for. */
export function reach(
  address: NodeAddress,
  ssl: Dialing['ssl'],
  onSocket: (socket: net.Socket) => void
): Promise<Duplex> {
  const { host, port } = address
  return new Promise((resolve, reject) => {
    const socket = host.startsWith('/') ? net.connect(`${host}/.s.PGSQL.${port}`) : net.connect(port, host)
    onSocket(socket)
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 10_000)
    const failed = (error: unknown) => reject(new DialError(error, 'socket'))
    socket.once('error', failed)
    socket.once('close', () => failed(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })))
    socket.once('connect', () => {
      if (ssl === false || host.startsWith('/')) return resolve(socket)
      socket.write(SSL_REQUEST)
      socket.once('data', (bytes: Buffer) => {
        socket.pause()
        if (bytes.length !== 1 || bytes[0] !== 0x53) {
          socket.destroy()
          const text =
            bytes[0] === 0x4e
              ? 'The server does not support SSL connections'
              : 'There was an error establishing an SSL connection'
          return reject(new DialError(new Error(text), 'driver'))
        }
        const name = net.isIP(host) === 0 ? { servername: host } : {}
        const secure = tls.connect({ ...name, ...(ssl === true ? {} : ssl), socket })
        secure.once('error', (error) => {
          socket.destroy()
          failed(error)
        })
        secure.once('secureConnect', () => resolve(secure))
      })
    })
  })
}

export async function dial(dialing: Dialing, clock: Clock): Promise<Dialed> {
  const made: { tcp?: net.Socket } = {}
  let late = false
  const alarm = clock.alarm(dialing.timeoutMillis, () => {
    late = true
    made.tcp?.destroy()
  })
  try {
    const stream = await reach(dialing.address, dialing.ssl, (tcp) => {
      made.tcp = tcp
    })
    return { ...(await new Login(stream, dialing).done), tcp: made.tcp }
  } catch (error) {
    made.tcp?.destroy()
    if (late) throw new DialError(new Error('timeout expired'), 'driver')
    throw error
  } finally {
    alarm.cancel()
  }
}

class Login {
  readonly done: Promise<Dialed>
  readonly #socket: Duplex
  readonly #dialing: Dialing
  readonly #framer = new Framer(SERVER_RULES)
  readonly #parameters = new Map<string, string>()
  readonly #binding: Buffer | null
  #pid: number | null = null
  #secret = Buffer.alloc(0)
  #opening: Opening | null = null
  #signature = ''
  #asked = false
  /** The server has proved that it knows the password, where it began to. */
  #proved = true
  #isLetIn = false
  #resolve: (dialed: Dialed) => void = () => {}
  #reject: (error: unknown) => void = () => {}

  constructor(socket: Duplex, dialing: Dialing) {
    this.#socket = socket
    this.#dialing = dialing
    const certificate = socket instanceof tls.TLSSocket ? socket.getPeerCertificate().raw : undefined
    this.#binding = certificate === undefined ? null : bindingOf(certificate)
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    const { user, database, parameters } = dialing
    socket.on('data', this.#data)
    socket.once('error', this.#error)
    socket.once('close', this.#closed)
    socket.write(startup(new Map([['user', user], ['database', database], ...parameters])))
  }

  readonly #error = (error: Error) => this.#fail(error, 'socket')
  readonly #closed = () => this.#fail(new Error('Connection terminated unexpectedly'), 'driver')

  readonly #data = (chunk: Buffer) => {
    const framer = this.#framer
    framer.push(chunk)
    try {
      while (framer.next()) if (this.#message(framer)) return
    } catch (error) {
      return this.#fail(error, 'pgherd')
    }
    if (framer.fault !== null) this.#fail(protocolError(this.#dialing, framer.fault), 'pgherd')
  }

  /** True: the session is ready, or the login is over. */
  #message({ type, bytes, from, to, ends }: Framer): boolean {
    const body = from + HEADER_BYTES
    if (!ends || !isWellFormed(type, bytes, body, to))
      throw protocolError(this.#dialing, 'a message that is not well formed')
    switch (type) {
      case Back.authentication:
        this.#authenticate(bytes, body, to)
        return false
      case Back.error: {
        const spoken: Spoken = { ...spokenIn(bytes, body), starting: true }
        this.#fail(new ServerError(messageIn(bytes, body, to), spoken, []), spoken)
        return true
      }
      case Back.notice:
        return false
      case Back.parameterStatus: {
        const [name = '', value = ''] = bytes.toString('utf8', body, to).split('\0')
        this.#parameters.set(name, value)
        return false
      }
      case Back.keyData:
        this.#pid = bytes.readInt32BE(body)
        this.#secret = Buffer.from(bytes.subarray(body + 4, to))
        return false
      case Back.ready:
        if (!this.#isLetIn) throw protocolError(this.#dialing, 'a welcome without a login')
        this.#leave()
        this.#resolve({ socket: this.#socket, parameters: this.#parameters, pid: this.#pid, secret: this.#secret })
        return true
      default:
        throw protocolError(this.#dialing, `a message '${String.fromCharCode(type)}' before the login`)
    }
  }

  #authenticate(bytes: Buffer, body: number, to: number): void {
    const { secret, user, rule } = this.#dialing
    const method = authenticationIn(bytes, body)
    if (this.#isLetIn) throw protocolError(this.#dialing, 'a second login')
    const demand = (what: Parameters<AuthRule>[0]) => {
      const why = rule(what)
      if (why !== null) throw new PgherdError('PGHERD_WEAK_AUTH', `the server ${this.#dialing.address.host} ${why}`)
      this.#asked = true
    }
    switch (method) {
      case 'ok':
        if (!this.#proved)
          throw protocolError(this.#dialing, 'a welcome before it has shown that it knows the password')
        if (!this.#asked) demand('none')
        this.#isLetIn = true
        return
      case 'password':
      case 'md5': {
        demand(method)
        if (secret?.kind !== 'password') throw this.#lacks(method)
        const text =
          method === 'password'
            ? secret.password
            : md5Answer(md5Of(secret.password, user), bytes.subarray(body + 4, to))
        this.#socket.write(serialize.password(text))
        return
      }
      case 'scram-sha-256': {
        demand(method)
        if (secret === null) throw this.#lacks(method)
        const offered = bytes
          .toString('latin1', body + 4, to)
          .split('\0')
          .filter((each) => each !== '')
        this.#opening = open(offered, this.#binding, randomBytes(18).toString('base64'))
        if (this.#opening === null) throw this.#lacks(offered.join(', '))
        this.#proved = false
        this.#socket.write(serialize.sendSASLInitialResponseMessage(this.#opening.mechanism, this.#opening.text))
        return
      }
      case 'sasl-continue': {
        if (this.#opening === null || secret === null)
          throw protocolError(this.#dialing, 'a part of a login that was not begun')
        const said = answer(this.#opening, bytes.toString('utf8', body + 4, to), secret, this.#binding)
        if (said.kind === 'fault') throw new PgherdError('PGHERD_AUTH', said.text)
        this.#signature = said.signature
        this.#socket.write(serialize.sendSCRAMClientFinalMessage(said.text))
        return
      }
      case 'sasl-final':
        if (this.#signature === '' || bytes.toString('utf8', body + 4, to) !== this.#signature)
          throw protocolError(this.#dialing, 'a wrong proof that it knows the password')
        this.#proved = true
        return
      default:
        throw this.#lacks(typeof method === 'number' ? `authentication of kind ${method}` : method)
    }
  }

  #lacks(what: string): PgherdError {
    const { user, address } = this.#dialing
    return new PgherdError(
      'PGHERD_AUTH',
      `${address.host}:${address.port} asks ${user} for ${what}, and the proxy has no secret for that`
    )
  }

  #fail(error: unknown, source: Source): void {
    this.#leave()
    this.#socket.on('error', () => {})
    this.#socket.destroy()
    this.#reject(new DialError(error, source))
  }

  #leave(): void {
    this.#socket.removeListener('data', this.#data)
    this.#socket.removeListener('error', this.#error)
    this.#socket.removeListener('close', this.#closed)
  }
}

function protocolError({ address }: Dialing, text: string): PgherdError {
  return new PgherdError('PGHERD_PROTOCOL', `${address.host}:${address.port} has sent ${text}`)
}
