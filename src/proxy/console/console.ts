// The console: clients of the database `pgherd` read what the proxy does, and its admins tell it what to do. Speaks the simple and the
// extended protocol.

import type { Duplex } from 'node:stream'
import type { Guest } from '../client/door.js'
import { Intake } from '../session/intake.js'
import { answerTo, type Result, refusalOf } from '../session/local.js'
import { Library } from '../session/prepared.js'
import type { Unit } from '../session/unit.js'
import { Framer } from '../wire/framer.js'
import { Front } from '../wire/letters.js'
import { clientRules } from '../wire/rules.js'
import {
  authentication,
  backendKeyData,
  Code,
  EMPTY_QUERY,
  errorResponse,
  noticeResponse,
  parameterStatus,
  ready,
  type Said,
} from '../wire/write.js'
import { commandOf, HELP } from './commands.js'
import type { Managed } from './managed.js'
import { obey, shownBy } from './orders.js'

const LONGEST = 64 << 10
const PARAMETERS: Readonly<Record<string, string>> = {
  server_version: '14.0 (pgherd)',
  client_encoding: 'UTF8',
  server_encoding: 'UTF8',
  DateStyle: 'ISO, MDY',
  TimeZone: 'UTC',
  IntervalStyle: 'postgres',
  standard_conforming_strings: 'on',
  integer_datetimes: 'on',
  is_superuser: 'off',
}

export class Console {
  readonly #proxy: Managed

  constructor(proxy: Managed) {
    this.#proxy = proxy
  }

  admit({ socket, user, rest }: Guest): void {
    const { adminUsers, statsUsers, authType } = this.#proxy.options
    const isAdmin = adminUsers.has(user) || authType === 'trust'
    if (!isAdmin && !statsUsers.has(user)) {
      const message = `user "${user}" is neither in admin_users nor in stats_users`
      socket.end(errorResponse({ severity: 'FATAL', code: Code.noPrivilege, message }))
      return
    }
    const parameters = Object.entries(PARAMETERS).map(([name, value]) => parameterStatus(name, value))
    socket.write(Buffer.concat([authentication(0), ...parameters, backendKeyData(0, Buffer.alloc(4)), ready('I')]))
    new Session(socket, this.#proxy, isAdmin, rest)
  }
}

class Session {
  readonly #socket: Duplex
  readonly #proxy: Managed
  readonly #isAdmin: boolean
  readonly #framer = new Framer(clientRules(LONGEST))
  readonly #intake = new Intake(new Library(100))
  #isSkipping = false
  /** A command is under way: what comes behind it waits. */
  #isBusy = false

  constructor(socket: Duplex, proxy: Managed, isAdmin: boolean, rest: Buffer) {
    this.#socket = socket
    this.#proxy = proxy
    this.#isAdmin = isAdmin
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => this.#data(chunk))
    if (rest.length > 0) this.#data(rest)
    socket.resume()
  }

  #data(chunk: Buffer): void {
    this.#framer.push(chunk)
    this.#go().catch(() => this.#socket.destroy())
  }

  async #go(): Promise<void> {
    if (this.#isBusy) return
    this.#isBusy = true
    this.#socket.pause()
    try {
      await this.#take()
    } finally {
      this.#isBusy = false
    }
    this.#socket.resume()
  }

  async #take(): Promise<void> {
    const framer = this.#framer
    while (framer.next()) {
      if (this.#isSkipping) {
        if (framer.type === Front.sync) {
          this.#isSkipping = false
          this.#socket.write(ready('I'))
        }
        continue
      }
      const taken = this.#intake.take(framer)
      if (taken === 'end') {
        this.#socket.end()
        return
      }
      if (taken === 'fault') {
        this.#close(this.#intake.fault)
        return
      }
      if (taken !== 'due') continue
      const unit = this.#intake.unit()
      this.#intake.settle(Infinity)
      await this.#run(unit)
      // Of a unit that goes on behind a Flush nothing is answered twice.
      if (!unit.isComplete) this.#intake.continued()
    }
    if (framer.fault !== null) this.#close(framer.fault)
  }

  #close(message: string): void {
    this.#socket.end(errorResponse({ severity: 'FATAL', code: Code.protocolViolation, message }))
  }

  async #run(unit: Unit): Promise<void> {
    const text = unit.texts.at(-1)
    if (text === undefined) {
      this.#write(answerTo(unit, null, 'I'))
      return
    }
    const said = await this.#answer(text).catch(failed)
    if ('code' in said) {
      if (!unit.isComplete) {
        this.#isSkipping = true
        this.#intake.drop()
      }
      this.#write(refusalOf(unit, errorResponse(said), 'I'))
      return
    }
    if (said.tag === '' && unit.isSimple) {
      this.#write([EMPTY_QUERY, ready('I')])
      return
    }
    this.#write(answerTo(unit, said, 'I'))
  }

  async #answer(text: string): Promise<Result | Said> {
    const command = commandOf(text)
    const proxy = this.#proxy
    switch (command.kind) {
      case 'wrong':
        return { code: Code.syntax, message: command.message }
      case 'nothing':
        return { tag: command.tag }
      case 'show':
        if (command.what === 'help') return { tag: 'SHOW', notices: [noticeResponse({ code: '00000', message: HELP })] }
        return { tag: 'SHOW', rows: await shownBy(command.what, proxy) }
      default:
    }
    if (!this.#isAdmin)
      return { code: Code.noPrivilege, message: 'admin access needed: the user is not in admin_users' }
    switch (command.kind) {
      case 'reload':
        return reloaded(await proxy.parts.reload())
      case 'shutdown':
        // Its answer is told first.
        void proxy.parts.clock.turn().then(() => proxy.parts.shutdown(command.waits))
        return { tag: 'SHUTDOWN' }
      default: {
        const { team } = proxy.parts
        const isFound = team === null ? obey(command, proxy) : await team.order(command)
        if (command.kind !== 'kill_client' || isFound) return { tag: command.kind.toUpperCase() }
        return { code: Code.syntax, message: `there is no client ${command.id}` }
      }
    }
  }

  #write(all: readonly Buffer[]): void {
    this.#socket.write(Buffer.concat(all as Buffer[]))
  }
}

function reloaded(said: Said | readonly string[]): Result | Said {
  if ('code' in said) return said
  const notices = said.map((message) => noticeResponse({ severity: 'WARNING', code: '01000', message }))
  return { tag: 'RELOAD', notices }
}

/** Another process has not answered. */
function failed(error: unknown): Said {
  return { code: Code.internal, message: error instanceof Error ? error.message : String(error) }
}
