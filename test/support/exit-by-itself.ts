// A program that uses a pool in one of several ways and must then end by itself. Run as a child process by a test.

import { Pool } from '../../src/index.js'

const [mode] = process.argv.slice(2)
const connectionString = process.env.DATABASE_URL ?? ''
const options = mode === 'idle-exit' ? { allowExitOnIdle: true } : {}
const pool = new Pool({ connectionString, ...options })

switch (mode) {
  case 'end':
    await pool.query('select 1')
    await Promise.all(Array.from({ length: 20 }, () => pool.query('select count(*) from pg_class')))
    await pool.end()
    break
  case 'end-while-waiting': {
    const nowhere = new Pool({ host: '127.0.0.1,127.0.0.2', port: 9 })
    const waiting = nowhere.query('select 1').catch((error: Error) => error.message)
    setTimeout(() => void nowhere.end(), 100)
    if ((await waiting) !== 'Cannot use a pool after calling end on the pool') throw new Error(String(await waiting))
    break
  }
  case 'idle-exit':
    await pool.query('select 1')
    break
  default:
}
console.log('done')
