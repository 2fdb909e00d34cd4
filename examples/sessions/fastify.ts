// Fastify: each request is a session of the pool, and a cookie carries its token to the next one, whichever process serves it.
//   sessions(app, pool)

import { AsyncResource } from 'node:async_hooks'
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Pool } from 'pgherd'
import { cookieOf, tokenIn, tokenSoon } from './cookie.js'

export function sessions(app: FastifyInstance, pool: Pool): void {
  /** A request that is refused before its handler runs has none. */
  const tokens = new WeakMap<FastifyRequest, () => Promise<string | null>>()

  // Not in an earlier hook: the hook at the end of the body is called by the socket, outside of the session.
  app.addHook('preHandler', (request, _reply, done) => {
    const begin = () => {
      // This is the session's token, whichever code calls send().
      const ask = () => tokenSoon(pool)
      tokens.set(request, AsyncResource.bind(ask))
      done()
    }
    pool.session(tokenIn(request.headers.cookie), begin, { invalidToken: 'ignore' })
  })

  // The cookie is a header. This is the last hook before headers are sent, also for a stream, of which nothing has been read yet.
  app.addHook('onSend', async (request, reply) => {
    const token = await tokens.get(request)?.()
    if (token && token !== tokenIn(request.headers.cookie)) reply.header('set-cookie', cookieOf(token))
  })
}

export function appOn(pool: Pool): FastifyInstance {
  const app = fastify()
  sessions(app, pool)
  app.post<{ Body: { item: string } }>('/orders', async ({ body }, reply) => {
    await pool.query('insert into orders (item) values ($1)', [body.item])
    return reply.code(201).send({ ordered: body.item })
  })
  app.get('/orders', async () => {
    const { rows } = await pool.query<{ item: string }>('select item from orders order by id')
    return rows.map(({ item }) => item)
  })
  return app
}

export async function serve(pool: Pool) {
  const app = appOn(pool)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  return { url, close: () => app.close() }
}
