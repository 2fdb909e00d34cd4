// What pg_receivewal and Barman do: receives the WAL of a server over the replication protocol, confirms it, and throws it away.
// The server shows a row in pg_stat_replication for it, as for a replica. Written here because npm's PostgreSQL has no pg_receivewal,
// and Debian's refuses servers that are newer than itself.

import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'

/** The members of pg's connection that its types leave out. */
interface Wire {
  readonly stream: { destroy(): void }
  on(event: 'copyData', listener: (message: { readonly chunk: Buffer }) => void): void
  on(event: 'copyDone', listener: () => void): void
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
}

const wireOf = (client: pg.Client) => client.connection as unknown as Wire

interface Target {
  readonly host: string
  readonly port: number
}

const RETRY_MILLIS = 50
const MICROS_PER_MILLI = 1000n
/** From 1970 to 2000, where PostgreSQL's time begins. */
const EPOCH_MILLIS = 946_684_800_000n

export class Archiver {
  readonly #target: Target
  readonly #working: Promise<void>
  #client: pg.Client | null = null
  #stopped = false

  private constructor(target: Target) {
    this.#target = target
    this.#working = this.#work()
  }

  /** Receives until stop(), over whatever happens to the server. */
  static start({ host, port }: Target): Archiver {
    return new Archiver({ host, port })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    // The server may be frozen: its goodbye is not waited for.
    if (this.#client !== null) wireOf(this.#client).stream.destroy()
    await this.#working
  }

  async #work(): Promise<void> {
    while (!this.#stopped) {
      await this.#receive().catch(() => undefined)
      if (!this.#stopped) await pause(RETRY_MILLIS)
    }
  }

  async #receive(): Promise<void> {
    const options = { ...this.#target, user: 'replicator', application_name: 'pg_receivewal', ssl: false }
    const client = new pg.Client({ ...options, replication: 'true' } as pg.ClientConfig)
    const gone = new Promise<never>((_, reject) => {
      client.once('end', () => reject(new Error('the connection ended')))
      client.on('error', reject)
    })
    gone.catch(() => undefined)
    this.#client = client
    try {
      await Promise.race([client.connect(), gone])
      confirm(wireOf(client))
      // One pass for each timeline.
      while (!this.#stopped) {
        const { rows } = await client.query<{ timeline: number; xlogpos: string }>('IDENTIFY_SYSTEM')
        const { timeline, xlogpos } = rows[0] ?? { timeline: 1, xlogpos: '0/0' }
        await Promise.race([client.query(`START_REPLICATION PHYSICAL ${xlogpos} TIMELINE ${timeline}`), gone])
      }
    } finally {
      this.#client = null
      await client.end().catch(() => undefined)
    }
  }
}

/** Everything that arrives is reported as written and flushed, as with --synchronous. */
function confirm(connection: Wire): void {
  let reached = 0n
  connection.on('copyData', ({ chunk }) => {
    const isData = chunk[0] === 'w'.charCodeAt(0)
    const end = isData ? chunk.readBigUInt64BE(1) + BigInt(chunk.length - 25) : chunk.readBigUInt64BE(1)
    if (isData && end > reached) reached = end
    const status = Buffer.alloc(34)
    status.write('r', 0)
    status.writeBigUInt64BE(reached, 1)
    status.writeBigUInt64BE(reached, 9)
    status.writeBigUInt64BE(reached, 17)
    status.writeBigInt64BE((BigInt(Date.now()) - EPOCH_MILLIS) * MICROS_PER_MILLI, 25)
    connection.sendCopyFromChunk(status)
  })
  connection.on('copyDone', () => connection.endCopyFrom())
}
