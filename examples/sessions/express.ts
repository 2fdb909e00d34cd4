// Express: each request is a session of the pool, and a cookie carries its token to the next one, whichever process serves it.
//   app.use(express.json(), sessions(pool))

import { AsyncResource } from 'node:async_hooks'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express, { type Express, type RequestHandler, type Response } from 'express'
import type { Pool } from 'pgherd'
import { cookieOf, tokenIn, tokenSoon } from './cookie.js'

/** Use it after the middleware that parses bodies, and before the routes. */
export function sessions(pool: Pool): RequestHandler {
  return (req, res, next) => {
    const brought = tokenIn(req.headers.cookie)
    const begin = () => {
      carryAtEnd(res, pool, brought)
      next()
    }
    pool.session(brought, begin, { invalidToken: 'ignore' })
  }
}

/**
 * The cookie is a header, and headers are sent before the first byte of the body. json(), send() and end() send everything at
 * once, so asking for the token there is early enough. A route that streams asks for the token itself, before its first write().
 */
function carryAtEnd(res: Response, pool: Pool, brought: string | undefined): void {
  const end = res.end.bind(res) as (...given: unknown[]) => Response
  // This is the session's token, whichever code calls end().
  const ask = AsyncResource.bind(() => tokenSoon(pool))
  let carried: Promise<void> | undefined
  const carry = async () => {
    const token = await ask()
    if (token !== null && token !== brought) res.append('Set-Cookie', cookieOf(token))
  }
  res.end = (...given: unknown[]) => {
    if (res.headersSent) return end(...given)
    carried ??= carry()
    void carried.then(() => end(...given))
    return res
  }
}

export function appOn(pool: Pool): Express {
  const app = express()
  app.use(express.json(), sessions(pool))
  app.post('/orders', async (req, res) => {
    await pool.query('insert into orders (item) values ($1)', [req.body.item])
    res.status(201).json({ ordered: req.body.item })
  })
  app.get('/orders', async (_req, res) => {
    const { rows } = await pool.query<{ item: string }>('select item from orders order by id')
    res.json(rows.map(({ item }) => item))
  })
  return app
}

export async function serve(pool: Pool) {
  const server = appOn(pool).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      server.close()
      await once(server, 'close')
    },
  }
}
