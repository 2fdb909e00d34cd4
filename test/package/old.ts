// A project of the old kind: CommonJS, resolution as Node 10 had it, no esModuleInterop, every declaration checked.

import type * as pg from 'pg'
import { type Outcome, PgherdError, Pool } from 'pgherd'
import { classify, type Intent } from 'pgherd/classify'
import { type Cluster, startCluster } from 'pgherd/testing'

const pool: pg.Pool = new Pool({ host: ['a', 'b'] })
export const intent: Intent = classify('select 1')
export const outcome = (error: unknown): Outcome | null => (error instanceof PgherdError ? error.outcome : null)
export const ended = pool.end()
export const start: () => Promise<Cluster> = startCluster
