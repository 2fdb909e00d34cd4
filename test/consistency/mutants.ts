// Builds of pgherd with one rule broken on purpose, and the scenario that must notice. A checker that has never gone red
// proves nothing.

import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { BUILT, type Product, productIn } from './product.js'
import type { Combination } from './scenario.js'

export interface Edit {
  /** Below dist/src. */
  readonly file: string
  /** Stands there exactly once. */
  readonly from: string
  readonly to: string
}

export interface Mutation {
  readonly name: string
  readonly edits: readonly Edit[]
  readonly scenario: string
  readonly combination: Combination
}

const on = (interval: Combination['interval']): Combination => ({ interval, commit: 'on', seconds: 0 })
const off = (interval: Combination['interval']): Combination => ({ interval, commit: 'off', seconds: 0 })

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'the flush position alone',
    edits: [
      {
        file: 'core/cluster/horizon.js',
        from: 'found = lower(found, sample.insert, sample);',
        to: 'found = lower(found, sample.flush, sample);',
      },
      { file: 'core/cluster/horizon.js', from: 'insert ? sample.insert : sample.flush', to: 'sample.flush' },
      {
        file: 'router/questions.js',
        from: "case when pg_catalog.current_setting('synchronous_commit') operator(pg_catalog.=) 'off'",
        to: 'case when false',
      },
    ],
    scenario: 'a slow WAL writer',
    combination: off(100),
  },
  {
    name: 'what was received taken for what was replayed',
    edits: [
      {
        file: 'herd/probe-sql.js',
        from: 'pg_last_wal_replay_lsn()::pg_catalog.text as replay',
        to: 'pg_last_wal_receive_lsn()::pg_catalog.text as replay',
      },
      {
        file: 'router/questions.js',
        from: 'then pg_catalog.pg_last_wal_replay_lsn() end,',
        to: 'then pg_catalog.pg_last_wal_receive_lsn() end,',
      },
      {
        file: 'router/questions.js',
        from: 'pg_catalog.pg_last_wal_replay_lsn()) as answer',
        to: 'pg_catalog.pg_last_wal_receive_lsn()) as answer',
      },
    ],
    scenario: 'paused replay',
    combination: on(100),
  },
  {
    name: 'the time of a sample taken when the answer came',
    edits: [
      {
        file: 'herd/probe-loop.js',
        from: "kind: 'probed', key: this.key, startedAt,",
        to: "kind: 'probed', key: this.key, startedAt: clock.now(),",
      },
      // Else an idle session answers before the late answer is there.
      { file: 'herd/probe.js', from: 'const HEDGE_MILLIS = 100;', to: 'const HEDGE_MILLIS = 10_000;' },
      // Else replicas seem to be ahead of a primary that seems to step back, and none serves a read.
      { file: 'core/cluster/tracing.js', from: 'if (highest === undefined)', to: 'if (true)' },
      { file: 'core/cluster/horizon.js', from: 'if (reached === null || flush === null)', to: 'if (true)' },
    ],
    scenario: "the primary's answers to probes come late",
    combination: on(100),
  },
  {
    name: 'a write counts from CommandComplete on',
    edits: [
      {
        file: 'pg/watch.js',
        from: 'exchange.complete(text);',
        to: 'if (!session.reading && session.standby !== true) listener.heard(session, 4, null);',
      },
      {
        file: 'core/session/server-session.js',
        from: "const landed = acts === 'outside' || (committed && this.#wrote);",
        to: 'const landed = false;',
      },
    ],
    scenario: 'a commit that takes its time',
    combination: on(300),
  },
  {
    name: 'no proof that a replica follows',
    edits: [
      {
        file: 'core/cluster/histories.js',
        from: 'const { follows, direct } = standingBy(node.lineage);',
        to: 'const [follows, direct] = [true, true];',
      },
      {
        file: 'core/cluster/histories.js',
        from: 'const position = follows ? node.lineage.proven : node.shown;',
        to: 'const position = node.shown;',
      },
    ],
    scenario: 'a replica on a dead fork, role app',
    combination: on(100),
  },
  {
    name: "a node's position counts for connections opened later",
    edits: [
      {
        file: 'router/admission.js',
        from: 'return readyAt === null || askedAt === undefined || readyAt.mono >= askedAt.mono;',
        to: 'return false;',
      },
    ],
    scenario: 'a crash that no probe noticed',
    combination: on(1000),
  },
  {
    name: 'a lost write binds nothing, not even its session',
    edits: [{ file: 'core/session/causal-scope.js', from: 'if (scope.parent !== null)', to: 'if (false)' }],
    scenario: 'a write whose reply was lost',
    combination: on(100),
  },
  {
    name: 'a lost write is forgotten when there is a primary again',
    edits: [
      { file: 'core/cluster/freshness.js', from: 'if (doubt != null && orphaned !== true)', to: 'if (false)' },
      { file: 'core/cluster/selection.js', from: '(need.doubt != null && need.orphaned !== true)', to: 'false' },
    ],
    scenario: 'a write whose reply was lost',
    combination: on(100),
  },
  {
    name: 'the monotonic clock alone',
    edits: [
      {
        file: 'core/cluster/instant.js',
        from: 'return Math.max(to.mono - from.mono, to.wall - from.wall);',
        to: 'return to.mono - from.mono;',
      },
    ],
    scenario: 'a machine that slept',
    combination: on(100),
  },
]

/** Makes the mutant, lets `work` have it, and removes it. */
export async function withMutant<T>({ edits }: Mutation, work: (product: Product) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'pgherd-mutant-'))
  try {
    const sources = join(directory, 'src')
    const isCode = (path: string) => ['', '.js'].includes(extname(path))
    cpSync(fileURLToPath(BUILT), sources, { recursive: true, filter: isCode })
    writeFileSync(join(directory, 'package.json'), '{ "type": "module" }')
    symlinkSync(fileURLToPath(new URL('../../node_modules', BUILT)), join(directory, 'node_modules'))
    for (const { file, from, to } of edits) {
      const path = join(sources, file)
      const text = readFileSync(path, 'utf8')
      const found = text.split(from).length - 1
      if (found !== 1) throw new Error(`${file} has ${found} times, not once: ${from}`)
      writeFileSync(
        path,
        text.replace(from, () => to)
      )
    }
    return await work(await productIn(pathToFileURL(`${sources}/`)))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
