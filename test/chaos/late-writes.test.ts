// A write that was given up does not happen when the network comes back; one whose connection was merely closed does.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const PROGRAM = fileURLToPath(new URL('late-writes.js', import.meta.url))
const run = promisify(execFile)

/** Null: there is none. Else why this machine gives nobody a network of their own. */
async function reasonAgainst(): Promise<string | null> {
  const cables = 'ip link add near type veth peer name far && command -v nsenter'
  return run('unshare', ['--net', 'sh', '-c', cables]).then(
    () => null,
    (error: Error) => error.message.split('\n')[1] ?? error.message
  )
}

describe('a cable is pulled while a write is under way', () => {
  for (const mode of ['plain', 'tls']) {
    it(`what was given up does not happen later, ${mode}`, async function () {
      this.timeout(120_000)
      const reason = await reasonAgainst()
      if (reason !== null) {
        console.log(`      (no network can be made here: ${reason})`)
        return this.skip()
      }
      const { stdout } = await run('unshare', ['--net', process.execPath, PROGRAM, mode])
      assert.deepEqual(JSON.parse(stdout), { outcome: 'unknown', happened: ['control', 'later'] })
    })
  }
})
