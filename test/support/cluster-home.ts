/**
 * The one directory below os.tmpdir() in which this process keeps its clusters, and the watcher that removes it.
 *
 * However this process ends (return, exception, process.exit, Ctrl-C, SIGKILL), the kernel closes its end of the
 * watcher's standard input. So there is one way of cleaning up, and no handler here that could be skipped.
 */
import { spawn } from 'node:child_process'
import { chownSync, mkdtempSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Owner } from './cluster-binaries.js'

let home: string | undefined

export function homeDirectory(owner: Owner | undefined): string {
  if (home !== undefined) return home
  home = mkdtempSync(join(realpathSync(tmpdir()), `pgherd-test-${process.pid}-`))
  watch(home)
  if (owner) chownSync(home, owner.uid, owner.gid)
  return home
}

function watch(directory: string): void {
  const script = fileURLToPath(new URL('./cluster-watcher.js', import.meta.url))
  // A session of its own: Ctrl-C in the terminal must reach this process and not the watcher.
  const watcher = spawn(process.execPath, [script, directory], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { ...process.env, NODE_OPTIONS: '', NODE_V8_COVERAGE: '' }, // those are meant for the tests
  })
  watcher.unref()
  const { stdin } = watcher
  if ('unref' in stdin && typeof stdin.unref === 'function') stdin.unref()
  stdin.on('error', () => undefined) // nothing is ever written; a watcher somebody killed is not this test's failure
}
