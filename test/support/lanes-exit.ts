// A program whose reads share a connection of a replica, and which must then end by itself. Run as a child process by a test.

import { Pool } from '../../src/index.js'

const [mode] = process.argv.slice(2)
const connectionString = process.env.DATABASE_URL ?? ''
const pool = new Pool({
  connectionString,
  maxLagMillis: Infinity,
  idleTimeoutMillis: 0,
  allowExitOnIdle: mode === 'idle-exit',
})
await pool.ready({ replicas: 1 })
await Promise.all(Array.from({ length: 20 }, (_, n) => pool.query('select $1::int', [n])))
if (mode === 'end') await pool.end()
console.log('done')
