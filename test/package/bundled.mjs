// The entry of a bundle that has everything in it.

import pg from 'pg'
import { createPool, Pool } from 'pgherd'

const Other = createPool({ ...pg, Pool: class extends pg.Pool {} })
console.log(new Pool({ host: '203.0.113.1' }) instanceof pg.Pool, new Other({}) instanceof pg.Pool)
