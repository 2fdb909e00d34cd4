// Express endpoints: is this process alive, is it ready, and how does it see the cluster?
//   app.use('/health', health(pool))
// Or on its own, to be opened in a browser:
//   DATABASE_URL=postgres://app@db-a,db-b,db-c/shop PORT=8080 node dist/examples/health.js

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { pathToFileURL } from 'node:url'
import express, { type Router } from 'express'
import { type NodeSnapshot, Pool, type TopologySnapshot } from 'pgherd'

/** /live, /ready and /topology. The last one names servers, so do not make it public. */
export function health(pool: Pool): Router {
  const router = express.Router()
  // A failover of the database is not a reason to restart this process, so this endpoint does not ask the pool.
  router.get('/live', (_req, res) => {
    res.type('text').send('alive\n')
  })
  // Ready while a read would be served. Writes wait during a failover, which is better than an error.
  router.get('/ready', (_req, res) => {
    const found = pool.health()
    res.status(found.readable ? 200 : 503).json(found)
  })
  router.get('/topology', (_req, res) => {
    pool.health() // keeps the pool looking, while somebody watches
    const topology = pool.topology()
    res.format({ html: () => res.send(page(topology)), json: () => res.json(topology) })
  })
  return router
}

const HEADS = ['node', 'role', 'lag at most', 'bytes behind', 'position', 'timeline', 'why it is not used']

function page({ primary, contested, epoch, nodes }: TopologySnapshot): string {
  const who = contested.length > 0 ? `contested by ${contested.join(', ')}` : `the primary is ${primary ?? 'not known'}`
  return `<!doctype html>
<meta charset="utf-8"><meta http-equiv="refresh" content="2"><title>pgherd</title>
<style>body { font: 16px sans-serif } td, th { padding: 4px 12px; text-align: left } .bad { color: #b00020 }</style>
<h1>${escaped(who)}, epoch ${epoch}</h1>
<table>
${row('th', HEADS)}
${nodes.map((node) => row('td', cells(node), node.refused === null ? '' : ' class="bad"')).join('\n')}
</table>
`
}

function cells(node: NodeSnapshot): string[] {
  const { key, state, suspect, lagMillis, lagBytes, position, timeline, failure, refused } = node
  const lag = lagMillis === null ? '' : `${Math.ceil(lagMillis)} ms`
  const role = suspect ? `${state}, suspect` : state
  const known = [lag, lagBytes, position, timeline].map((value) => String(value ?? ''))
  return [key, role, ...known, failure ?? refused ?? '']
}

function row(tag: 'td' | 'th', texts: readonly string[], attributes = ''): string {
  return `<tr${attributes}>${texts.map((text) => `<${tag}>${escaped(text)}</${tag}>`).join('')}</tr>`
}

/** The text of a failure comes from a server, so it is escaped. */
function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
}

export async function serve(pool: Pool, port = 0) {
  const app = express()
  app.use('/health', health(pool))
  const server = app.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const close = async () => {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }
  return { url, close }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const pool = new Pool({ connectionString: process.env.DATABASE_URL })
  const { url, close } = await serve(pool, Number(process.env.PORT ?? 0))
  console.log(`${url}/health/topology`)
  process.once('SIGTERM', () => void close().then(() => pool.end()))
}
