// The built program `pgherd` as others run it: by node, with words, an environment and streams.

import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Cluster, Role } from './cluster.js'
import { eventually } from './pools.js'

export const PROGRAM = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))

export interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export interface Running {
  readonly child: ChildProcess
  readonly ran: Promise<Ran>
  out(): string
  /** Resolves when the pattern is in what it has written; asks every few milliseconds. */
  shows(pattern: RegExp): Promise<void>
}

/** Of this process's variables those that say where servers are, or what is in colour, are left out. */
export function bareEnvironment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const names = /^(?:PG.*|DATABASE_URL|NO_COLOR|FORCE_COLOR|NODE_OPTIONS)$/
  const kept = Object.entries(process.env).filter(([name]) => !names.test(name))
  return { ...Object.fromEntries(kept), ...more }
}

export function start(words: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(process.execPath, [PROGRAM, ...words], { env: bareEnvironment(env) })
  let [out, err] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const ran = new Promise<Ran>((resolve) => {
    child.on('close', (code) => resolve({ code, out, err }))
  })
  const shows = (pattern: RegExp) => eventually(`pgherd shows ${pattern}: ${err}`, () => pattern.test(out), 20_000)
  return { child, ran, out: () => out, shows }
}

export function pgherd(words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  return start(words, env).ran
}

/** All nodes, or those given. */
export function urlOf(
  cluster: Cluster,
  role: Role = 'app',
  nodes?: readonly number[],
  password: string = role
): string {
  const chosen = (nodes ?? cluster.nodes.map(({ index }) => index)).map((index) => cluster.config(index, role))
  const hosts = chosen.map(({ host, port }) => `${host}:${port}`).join(',')
  return `postgres://${role}:${password}@${hosts}/${chosen[0]?.database}`
}
