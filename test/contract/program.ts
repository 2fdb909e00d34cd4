// A program that uses a pool in one of several ways and must then end by itself, or be ended. Run as a child process.

import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { Pool } from '../../src/index.js'

const [name, mode = ''] = process.argv.slice(2)
const Class = (name === 'pg' ? pg.Pool : Pool) as new (options: object) => pg.Pool
const connectionString = process.env.DATABASE_URL ?? ''

const pool = (options: object = {}) => new Class({ connectionString, ...options })

/** Every use of a pool that there is, and then its end. */
async function everything(): Promise<void> {
  const used = pool({ min: 1, maxLifetimeSeconds: 60, connectionTimeoutMillis: 60_000 })
  used.on('connect', (client) => void client.setMaxListeners(20))
  await Promise.all(Array.from({ length: 20 }, () => used.query('select count(*) from items')))
  await used.query({ name: 'named', text: 'select $1::int', values: [1] })
  await used.query('select nonsense').catch(() => {})
  const client = await used.connect()
  await client.query('begin')
  await client.query("update items set name = 'tea' where id = 1")
  await client.query('rollback')
  client.release()
  await new Promise((resolve) => used.query('select 1', resolve))
  await used.end()
}

async function idleClientIsLost(): Promise<void> {
  const used = pool()
  const client = await used.connect()
  const pid = Reflect.get(client, 'processID')
  client.release()
  const admin = new pg.Client(process.env.ADMIN_URL)
  await admin.connect()
  await admin.query('select pg_terminate_backend($1)', [pid])
  await admin.end()
  while (used.totalCount > 0) await pause(5)
  await used.end()
}

async function callbackThrows(): Promise<void> {
  const used = pool()
  const thrown = new Promise((resolve) => {
    process.once('uncaughtException', (error, origin) => resolve(`${origin}: ${error.message}`))
  })
  used.query('select 1', () => {
    throw new Error('thrown by a callback')
  })
  console.log(await thrown)
  await used.query('select 1')
  await used.end()
}

const MODES: Readonly<Record<string, () => Promise<unknown> | unknown>> = {
  never: () => pool(),
  everything,
  allowExitOnIdle: () => pool({ allowExitOnIdle: true }).query('select 1'),
  idleTimeout: () => pool({ idleTimeoutMillis: 30 }).query('select 1'),
  customPromise: async () => {
    class Own<T> extends Promise<T> {}
    const used = pool({ Promise: Own })
    await used.query('select 1')
    await used.end()
  },
  idleClientIsLost,
  callbackThrows,
}

await MODES[mode]?.()
console.log('done')
