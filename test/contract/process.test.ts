// What a pool does to its process: it says nothing, keeps it alive no longer than pg does, and ends it where pg does.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Subject } from './pools.js'
import { contract, type Test } from './suite.js'

const script = fileURLToPath(new URL('./program.js', import.meta.url))

interface Ended {
  readonly code: unknown
  readonly stdout: string
  readonly stderr: string
}

function run({ id, url, adminUrl }: Subject, mode: string): Promise<Ended> {
  const env = { ...process.env, NODE_OPTIONS: '', DATABASE_URL: url(), ADMIN_URL: adminUrl() }
  return new Promise((resolve) => {
    execFile(process.execPath, [script, id, mode], { env, timeout: 30_000 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : (error.code ?? error.signal), stdout, stderr })
    )
  })
}

/** What the program does, and what it prints. */
const BY_ITSELF: readonly (readonly [title: string, mode: string, stdout: string])[] = [
  ['a pool that is never used lets the process end', 'never', 'done\n'],
  ['every use and then the end, without a word', 'everything', 'done\n'],
  ['allowExitOnIdle: the process may end before the pool', 'allowExitOnIdle', 'done\n'],
  ['idle clients hold the process until their timeout', 'idleTimeout', 'done\n'],
  [
    'what a callback throws is an uncaught exception',
    'callbackThrows',
    'uncaughtException: thrown by a callback\ndone\n',
  ],
]

const endsByItself =
  (mode: string, stdout: string): Test =>
  async (subject) =>
    assert.deepEqual(await run(subject, mode), { code: 0, stdout, stderr: '' })

contract('process', {
  ...Object.fromEntries(BY_ITSELF.map(([title, mode, stdout]) => [title, endsByItself(mode, stdout)])),

  'a Promise class of one’s own is warned of, by pg': async (subject) => {
    const { code, stdout, stderr } = await run(subject, 'customPromise')
    assert.deepEqual([code, stdout], [0, 'done\n'])
    assert.equal(stderr.match(/Warning: /g)?.length, 1)
    assert.match(stderr, /DeprecationWarning: Passing a custom Promise implementation/)
  },

  'an idle client that is lost ends the process, where nobody listens': {
    pg: async (subject) => {
      const { code, stdout, stderr } = await run(subject, 'idleClientIsLost')
      assert.deepEqual([code, stdout], [1, ''])
      assert.match(stderr, /terminating connection due to administrator command/)
    },
    better: async (subject) => {
      assert.deepEqual(await run(subject, 'idleClientIsLost'), { code: 0, stdout: 'done\n', stderr: '' })
    },
  },
})
