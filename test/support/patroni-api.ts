/** An HTTP server that answers as Patroni's REST API does, on a port of 127.0.0.1 from the kernel. Nothing here knows what is tested. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ApiMember {
  readonly name?: string
  readonly role?: string
  readonly host?: string
  readonly port?: number
  readonly timeline?: number
  readonly tags?: object
}

export interface PatroniApi {
  readonly url: string
  readonly port: number
  members: readonly ApiMember[]
  /** In place of the members. */
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | null
  /** `path authorization` of each request. */
  readonly asked: readonly string[]
  close(): Promise<void>
}

export async function startPatroniApi(members: readonly ApiMember[] = []): Promise<PatroniApi> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.url} ${request.headers.authorization ?? ''}`.trim())
    if (api.answer !== null) return api.answer(request, response)
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ members: api.members, scope: 'test' }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const api: PatroniApi = {
    url: `http://127.0.0.1:${port}`,
    port,
    members,
    answer: null,
    asked,
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
  return api
}
