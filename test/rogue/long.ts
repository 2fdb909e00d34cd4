// A run against rogue servers for as long as you like:  npm run check:rogue -- --seed 7 --seconds 60
// [--connections 5000], which ends it sooner, and [--product DIR], another build.
// Prints what it found; ends with 1 if anything is not as promised.

import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { faultsOf, run } from './run.js'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    seconds: { type: 'string', default: '60' },
    connections: { type: 'string', default: '0' },
    product: { type: 'string' },
  },
})
const words = `--seed ${values.seed} --seconds ${values.seconds} --connections ${values.connections}`
console.log(`npm run check:rogue -- ${words}`)
const product = values.product === undefined ? {} : { product: pathToFileURL(`${values.product}/`) }
const report = await run({
  seed: Number(values.seed),
  seconds: Number(values.seconds),
  connections: Number(values.connections),
  ...product,
})
const { connections, uncaught, hung, credentials, honest, heap } = report
const millis = (value: number) => `${value.toFixed(1)} ms`
const megabytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MB`
console.table({
  connections,
  uncaught: uncaught.length,
  'process hung': hung,
  'credentials given away': credentials.length,
  'honest reads': honest.reads,
  'honest reads failed': honest.failed.length,
  'honest read p50': millis(honest.p50),
  'honest read p99': millis(honest.p99),
  'honest read longest': millis(honest.max),
  'heap at first': megabytes(heap.first),
  'heap at last': megabytes(heap.last),
})
const faults = faultsOf(report)
for (const fault of faults.slice(0, 20)) console.log(fault)
if (faults.length > 0) process.exitCode = 1
