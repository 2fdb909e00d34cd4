// Whether the costs of a statement grow with the number of nodes, waiters, sessions, statements and texts; and what 200 processes cost
// a server. Each part prints a table.
//   npm run bench:scale                or: node dist/bench/scale.js nodes,sessions,memory,waiters,delay,probes

import { spawnSync } from 'node:child_process'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'

const PARTS: Readonly<Record<string, () => Promise<unknown>>> = {
  nodes: async () => (await import('./scale-statements.js')).nodes(),
  sessions: async () => (await import('./scale-statements.js')).sessions(),
  memory: async () => (await import('./scale-statements.js')).memory(),
  waiters: async () => (await import('./scale-waiters.js')).waiters(),
  delay: async () => (await import('./scale-delay.js')).delay(),
  probes: async () => (await import('./scale-probes.js')).probes(),
}

const [asked = Object.keys(PARTS).join(',')] = process.argv.slice(2)
const chosen = asked.split(',')
for (const name of chosen) if (PARTS[name] === undefined) throw new Error(`no part ${name}: ${Object.keys(PARTS)}`)

if (process.argv[3] !== 'alone') {
  // Each part gets a process of its own, so that none finds the heap of another.
  console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model.trim()}`)
  const self = fileURLToPath(import.meta.url)
  for (const name of chosen) spawnSync(process.execPath, ['--expose-gc', self, name, 'alone'], { stdio: 'inherit' })
} else {
  for (const name of chosen) {
    console.log(`\n${name}`)
    await PARTS[name]?.()
  }
}
