/**
 * A program: starts a cluster, leaves it in a bad state, prints what must vanish, and ends as its argument says
 * (`exit`, `throw`) or waits to be killed. It never destroys the cluster: that is what its test is about.
 */
import { dirname } from 'node:path'
import { startCluster } from './cluster.js'
import { childrenOf } from './cluster-processes.js'

/** What must be gone after this program. */
export interface Remains {
  readonly directory: string
  readonly pids: readonly number[]
}

const cluster = await startCluster({ replicas: 1 })
const pids = cluster.nodes.flatMap(({ pid = 0 }) => [pid, ...childrenOf(pid)])
const client = await cluster.connect(0)
// A backend at work does not notice that its postmaster is gone.
client.query('select count(*) from generate_series(1, 10000000000)').catch(() => undefined)
await cluster.freeze(1)
await cluster.killPostmaster(0)

const remains: Remains = { directory: dirname(dirname(cluster.node(0).directory)), pids }
process.stdout.write(`${JSON.stringify(remains)}\n`, () => {
  if (process.argv[2] === 'exit') process.exit(1)
  if (process.argv[2] === 'throw') throw new Error('as told')
  setInterval(() => undefined, 1000)
})
