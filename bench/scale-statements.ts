// What one statement costs this process, by a router without servers: with 2 to 100 nodes, in 1 to 1,000 sessions, and over a million
// statements.

import { fakeFace } from '../test/support/fake-face.js'
import { type Cost, collected, costOf, keptContext } from './scale-cost.js'

const READ = 'select * from users where id = $1'
const WRITE = 'update users set email = $1 where id = $2'
const STATEMENTS = 100_000
const [MILLION, TEXTS, STEPS] = [1_000_000, 100_000, 10]

const row = ({ cpuMicros, bytes }: Cost) => ({ 'CPU µs': cpuMicros.toFixed(2), bytes: Math.round(bytes) })

/** By the number of nodes. */
export async function nodes(): Promise<void> {
  const table = []
  for (const count of [2, 10, 100]) {
    for (const [kind, text] of [['read', READ] as const, ['write', WRITE] as const]) {
      const face = await fakeFace(count)
      const cost = await costOf(STATEMENTS, () => face.query(text))
      table.push({ nodes: count, kind, ...row(cost) })
      face.end()
    }
  }
  console.table(table)
}

/** By the number of sessions that are open, each of which has written and reads. */
export async function sessions(): Promise<void> {
  const table = []
  for (const count of [1, 10, 1000]) {
    const face = await fakeFace(2)
    const { causality } = face.router
    const empty = collected()
    const runs = Array.from({ length: count }, () => {
      let go: (run: () => Promise<unknown>) => Promise<unknown> = (run) => run()
      let end = () => {}
      const ended = new Promise<void>((resolve) => {
        end = resolve
      })
      void causality.session(undefined, () => {
        go = keptContext()
        return ended
      })
      return { go, end }
    })
    const perSession = (collected() - empty) / count
    let next = 0
    const cost = await costOf(STATEMENTS, () => {
      next = (next + 1) % runs.length
      return runs[next]?.go(() => face.query(READ)) ?? Promise.resolve()
    })
    table.push({ sessions: count, ...row(cost), 'bytes per session': Math.round(perSession) })
    for (const { end } of runs) end()
    face.end()
  }
  console.table(table)
}

/** The heap, while a million statements run; and while 100,000 texts are seen, each once in every round. */
export async function memory(): Promise<void> {
  const table = []
  for (const [what, textOf] of [
    ['one text', () => READ],
    [`${TEXTS} texts`, (i: number) => `select * from users where id = ${i % TEXTS}`],
    [`${TEXTS} texts, observed`, (i: number) => `select * from users where id = ${i % TEXTS} and "c${i % TEXTS}" = 1`],
  ] as const) {
    const face = await fakeFace(2, what.endsWith('observed') ? { routing: 'observe' } : {})
    await costOf(MILLION / STEPS / 10, (i) => face.query(textOf(i)))
    const heaps: string[] = []
    let cpu = 0
    for (let step = 0; step < STEPS; step++) {
      const from = (step * MILLION) / STEPS
      const { cpuMicros } = await costOf(MILLION / STEPS, (i) => face.query(textOf(from + i)))
      cpu += cpuMicros / STEPS
      heaps.push((collected() / 2 ** 20).toFixed(1))
    }
    table.push({ statements: what, 'CPU µs': cpu.toFixed(2), 'MiB after each tenth': heaps.join(' ') })
    face.end()
  }
  console.table(table)
}
