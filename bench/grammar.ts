// PostgreSQL's own grammar, compiled to WebAssembly as libpg-query: what classify() is compared with. It is loaded
// here alone, so that a benchmark without it still runs.

import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { type Figures, figures } from './race.js'

export interface Grammar {
  readonly version: string
  /** Only parses: telling a read from a write would still have to walk the tree. */
  parse(text: string): unknown
}

/** Or in words why there is none. */
export async function loadGrammar(): Promise<Grammar | string> {
  try {
    const { loadModule, parseSync } = await import('libpg-query')
    await loadModule()
    const { version }: { version: string } = createRequire(import.meta.url)('libpg-query/package.json')
    return { version, parse: parseSync }
  } catch (error) {
    return String(error)
  }
}

const DEADLINE_SECONDS = 20

/**
 * Parses in a process of its own: deep nesting can exhaust the stack within WebAssembly, which at best throws, and may
 * leave the module broken or never return.
 */
export function parseApart(text: string, rounds: number): Figures | string {
  const program = fileURLToPath(new URL('./grammar-apart.js', import.meta.url))
  const child = spawnSync(process.execPath, [program, String(rounds)], {
    input: text,
    encoding: 'utf8',
    timeout: DEADLINE_SECONDS * 1000,
    killSignal: 'SIGKILL',
  })
  if (child.error !== undefined) {
    const late = 'code' in child.error && child.error.code === 'ETIMEDOUT'
    return late ? `killed after ${DEADLINE_SECONDS} s` : String(child.error)
  }
  if (child.signal !== null) return `died of ${child.signal}`
  const answer = child.stdout.trim()
  if (!answer.startsWith('[')) return answer || `ended with code ${child.status} and no answer`
  const times: number[] = JSON.parse(answer)
  return figures(times.map((time) => [time]))
}
