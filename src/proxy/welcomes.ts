// What a client is told of its session when it logs in, and what only servers know for that: which settings a server reports under the
// startup settings of the client. Asked once for each set of settings, of any server; known ones let clients log in during an outage.

import { serialize } from 'pg-protocol'
import type { Config } from '../config/config.js'
import type { Attempt } from '../herd/herd.js'
import type { Router } from '../router/router.js'
import { Statement } from '../router/statement.js'
import type { ClientParts } from './client/parts.js'
import type { ServerConnection } from './server/connection.js'
import type { Ended, Sink } from './server/exchange.js'
import type { Job } from './server/job.js'
import { asSettings, literal } from './session/settings.js'
import { Expect, Unit } from './session/unit.js'
import { Back } from './wire/letters.js'

const MOST_KNOWN = 1000
const NAME = 'application_name'

export class Welcomes {
  readonly #router: Router
  readonly #clients: ClientParts
  readonly #config: Config
  readonly #known = new Map<string, ReadonlyMap<string, string>>()
  readonly #asked = new Map<string, Promise<ReadonlyMap<string, string>>>()

  constructor(router: Router, clients: ClientParts, config: Config) {
    this.#router = router
    this.#clients = clients
    this.#config = config
  }

  /** Rejects where the server refuses the user, the database or a setting, or where no server can be asked. */
  async told(
    user: string,
    database: string,
    values: ReadonlyMap<string, string>
  ): Promise<ReadonlyMap<string, string>> {
    // Each client may have a name of its own, which a server only repeats.
    const common = new Map([...values].filter(([name]) => name !== NAME && !name.startsWith('pgherd.')))
    const key = JSON.stringify([user, database, [...common].sort(([a], [b]) => (a < b ? -1 : 1))])
    let known = this.#known.get(key)
    if (known === undefined) {
      const asked = this.#asked.get(key) ?? this.#ask(user, database, common)
      this.#asked.set(key, asked)
      try {
        known = await asked
      } finally {
        this.#asked.delete(key)
      }
      if (this.#known.size >= MOST_KNOWN) this.#known.clear()
      this.#known.set(key, known)
    }
    const name = values.get(NAME)
    if (!known.has(NAME)) return known
    return new Map(known).set(NAME, (name ?? '').replace(/[^\x20-\x7e]/g, '?'))
  }

  async #ask(
    user: string,
    database: string,
    values: ReadonlyMap<string, string>
  ): Promise<ReadonlyMap<string, string>> {
    let reported: ReadonlyMap<string, string> = new Map()
    await this.#run(
      'select 1',
      user,
      database,
      values,
      () => {},
      (connection) => {
        reported = connection.reported
      }
    )
    return new Map([...reported].map(([name, value]) => [name, name === 'in_hot_standby' ? 'off' : value]))
  }

  /** The secret of a user by auth_query, as the user of the configuration; null: there is none. */
  async secretOf(user: string, query: string): Promise<string | null> {
    const { user: own, database } = this.#config.client
    const text = query.replaceAll('$1', literal(user).trim())
    const said: Buffer[] = []
    const data = (bytes: Buffer) => said.push(bytes)
    await this.#run(text, String(own), String(database ?? own ?? ''), new Map(), data, () => {})
    return rowIn(Buffer.concat(said))?.[1] ?? null
  }

  async #run(
    text: string,
    user: string,
    database: string,
    values: ReadonlyMap<string, string>,
    data: (bytes: Buffer) => unknown,
    done: (connection: ServerConnection) => void
  ): Promise<void> {
    const router = this.#router
    const unit = new Unit()
    const bytes = serialize.query(text) as Buffer
    unit.isSimple = unit.isComplete = unit.needsServer = unit.executes = true
    unit.texts.push(text)
    unit.add({ kind: 'raw', bytes, count: 1 }, Expect.all, bytes.length)
    const sink: Sink = { write: data, copies: () => {}, parameter: () => {} }
    const job: Job = {
      user,
      database,
      scope: undefined,
      settings: asSettings(values),
      unit,
      text,
      shape: null,
      isAlone: false,
      isOpen: false,
      sink,
      isGone: false,
      waits: () => {},
      runsOn: () => {},
      goesOn: () => {},
      failed: () => {},
      keeps: (connection: ServerConnection, _: Ended) => {
        done(connection)
        return false
      },
    }
    const args = { query: text, values: undefined, callback: undefined, text }
    const statement = new Statement(router.routing.texts, { maxLagMillis: Infinity }, args, undefined)
    await router.run(statement, (place: Attempt, reading) => this.#clients.sideOf(place).run(place, job, reading))
  }
}

/** The first row in an answer. */
function rowIn(bytes: Buffer): (string | null)[] | null {
  for (let place = 0; place + 5 <= bytes.length; place += 1 + bytes.readInt32BE(place + 1)) {
    if (bytes[place] !== Back.dataRow) continue
    const values: (string | null)[] = []
    let at = place + 7
    for (let left = bytes.readUInt16BE(place + 5); left > 0; left--) {
      const length = bytes.readInt32BE(at)
      values.push(length < 0 ? null : bytes.toString('utf8', at + 4, at + 4 + length))
      at += 4 + Math.max(0, length)
    }
    return values
  }
  return null
}
