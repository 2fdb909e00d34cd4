// A relay for one server that reads the messages of the server and cuts the connection behind a chosen one: between
// CommandComplete and ReadyForQuery, for one. The client gets all before, and nothing behind.

import { createServer, type Server, Socket } from 'node:net'

/** Types of a server's messages: C CommandComplete, Z ReadyForQuery, E ErrorResponse, 2 BindComplete, D a row. */
type Rule = (types: string) => boolean

interface Watched {
  readonly marker: string
  readonly cuts: Rule
}

export class Cutter {
  readonly host = '127.0.0.1'
  readonly #target: { readonly host: string; readonly port: number }
  readonly #sockets = new Set<Socket>()
  readonly #server: Server
  #rule: Watched | null = null

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target
    this.#server = createServer((client) => this.#link(client))
  }

  static async start(target: { readonly host: string; readonly port: number }): Promise<Cutter> {
    const cutter = new Cutter(target)
    await new Promise<void>((resolve) => cutter.#server.listen(0, '127.0.0.1', resolve))
    return cutter
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** The answer to the next text that holds `marker` ends where its messages so far are as `cuts` says. */
  cutWhen(marker: string, cuts: Rule): void {
    this.#rule = { marker, cuts }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #link(client: Socket): void {
    const server = new Socket()
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#sockets.delete(socket)
        client.destroy()
        // Its server goes on with what it has, as behind a network that broke.
        server.end()
      })
    }
    server.connect(this.#target.port, this.#target.host)
    let rest = Buffer.alloc(0)
    let types = ''
    let rule: Watched | null = null
    client.on('data', (bytes) => {
      if (this.#rule !== null && bytes.includes(this.#rule.marker)) {
        rule = this.#rule
        this.#rule = null
        types = ''
      }
      server.write(bytes)
    })
    server.on('data', (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes])
      for (let end = endOf(rest); end !== null; end = endOf(rest)) {
        client.write(rest.subarray(0, end))
        types += String.fromCharCode(rest[0] ?? 0)
        rest = rest.subarray(end)
        if (rule?.cuts(types) !== true) continue
        client.end()
        server.removeAllListeners('data')
        server.resume()
        return
      }
    })
  }
}

/** Where the first message ends; null: it has not come yet. */
function endOf(bytes: Buffer): number | null {
  if (bytes.length < 5) return null
  const end = 1 + bytes.readInt32BE(1)
  return bytes.length < end ? null : end
}
