/**
 * The one directory below os.tmpdir() in which this process keeps its clusters, and the watcher that removes it.
 *
 * However this process ends (return, exception, process.exit, Ctrl-C, SIGKILL), the kernel closes its end of the
 * watcher's standard input. So there is one way of cleaning up, and no handler here that could be skipped.
 */
import { spawn } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { TestingError } from './errors.js'
import { HERE } from './here.js'

export interface Owner {
  readonly uid: number
  readonly gid: number
}

let home: string | undefined

export function homeDirectory(owner: Owner | undefined): string {
  if (home !== undefined) return home
  const watcher = watcherProgram()
  home = mkdtempSync(join(realpathSync(tmpdir()), `pgherd-test-${process.pid}-`))
  watch(home, watcher)
  if (owner) chownSync(home, owner.uid, owner.gid)
  return home
}

/** A file of its own: a bundle that has swallowed this module has none, and nothing would clean up. */
function watcherProgram(): string {
  const program = join(dirname(HERE), 'watcher.js')
  if (existsSync(program)) return program
  throw new TestingError('PGHERD_UNSUPPORTED', 'pgherd/testing cannot be bundled: tell the bundler that it is external')
}

function watch(directory: string, script: string): void {
  // A session of its own: Ctrl-C in the terminal must reach this process and not the watcher.
  const watcher = spawn(process.execPath, [script, directory], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { ...process.env, NODE_OPTIONS: '', NODE_V8_COVERAGE: '' }, // those are meant for this process
  })
  watcher.unref()
  const { stdin } = watcher
  if ('unref' in stdin && typeof stdin.unref === 'function') stdin.unref()
  stdin.on('error', () => undefined) // nothing is ever written; a watcher that was killed is not this process's failure
}
