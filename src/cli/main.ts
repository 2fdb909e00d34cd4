#!/usr/bin/env node
// The program `pgherd`: words in, lines and an exit code out. It alone knows the process: its streams, signals and keys.
// A mistake of the caller's is one line on stderr, never a stack.

import { printable, printableLines } from '../core/words.js'
import { systemClock } from '../runtime/clock.js'
import { VERSION } from '../version.js'
import { type Command, commandOf } from './args.js'
import { explain } from './explain.js'
import { helpOf } from './help.js'
import { Mistake } from './herd.js'
import { status } from './status.js'
import { type Outside, watch } from './watch.js'

const WRONG_CALL = 2
const FAILED = 1

const RESUME_MILLIS = 100

/** 128 and the number of the signal, as shells have it. */
const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

async function run(command: Command): Promise<number> {
  const { stdout, env } = process
  switch (command.kind) {
    case 'help':
      stdout.write(`${helpOf(command.of)}\n`)
      return 0
    case 'version':
      stdout.write(`${VERSION}\n`)
      return 0
    case 'wrong': {
      if (process.argv.length === 2) {
        process.stderr.write(`${helpOf(null)}\n`)
        return WRONG_CALL
      }
      const help = command.of === null ? 'pgherd --help' : `pgherd help ${command.of}`
      process.stderr.write(`pgherd: ${command.message}\n${help} tells more\n`)
      return WRONG_CALL
    }
    case 'status':
      return status(command, stdout, env)
    case 'explain':
      return explain(command, stdout, env)
    case 'watch':
      return watch(command, outside())
    case 'proxy': {
      // It is a program of its own beside the others, with packages that they do not need.
      const around = { output: stdout, environment: env, version: VERSION, signals }
      if (command.demo) return (await import('./demo.js')).demo(command, { ...around, keys: keys() })
      return (await import('./proxy.js')).proxy(command, around)
    }
    default:
      return command satisfies never
  }
}

function signals(listener: (signal: keyof typeof SIGNALS) => void): void {
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.on(signal, () => listener(signal))
}

/** Keys as they are pressed, Ctrl-C as well. Null: that is no terminal. */
function keys(): ((listener: (key: string) => void) => void) | null {
  const { stdin, stdout } = process
  if (!stdin.isTTY || !stdout.isTTY) return null
  return (listener) => {
    stdin.setRawMode(true)
    process.once('exit', () => stdin.setRawMode(false))
    stdin.on('data', (typed: Buffer) => {
      for (const key of typed.toString()) listener(key)
    })
  }
}

function outside(): Outside {
  const { stdin, stdout, env } = process
  let end = (_: number) => {}
  const ended = new Promise<number>((resolve) => {
    end = resolve
  })
  for (const [signal, code] of Object.entries(SIGNALS)) process.once(signal, () => end(code))
  let [leave, enter] = [() => {}, () => {}]
  const raw = (on: boolean) => {
    if (stdin.isTTY) stdin.setRawMode(on)
  }
  const resume = () => {
    raw(true)
    enter()
  }
  if (stdin.isTTY && stdout.isTTY) {
    raw(true)
    // However it ends, the terminal is given back.
    process.once('exit', () => {
      leave()
      raw(false)
    })
    stdin.on('data', (keys: Buffer) => {
      for (const key of keys.toString()) {
        if (key === 'q') end(0)
        else if (key === '\x03') end(SIGNALS.SIGINT)
        else if (key === '\x1a') {
          leave()
          raw(false)
          process.kill(process.pid, 'SIGTSTP')
          // Rings when the process goes on, or soon where no shell could continue it: there nothing stops the process.
          systemClock.alarm(RESUME_MILLIS, resume)
        }
      }
    })
    process.on('SIGCONT', resume)
  }
  return {
    output: stdout,
    environment: env,
    ended,
    stopped: (onStop, onContinue) => {
      leave = onStop
      enter = onContinue
    },
    warned: (listener) => process.on('warning', ({ message }) => listener(message)),
  }
}

// A reader that has seen enough, such as head, is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(0)
})
// Node prints warnings with its own name and number, and onto a screen that is drawn on: commands tell what matters.
process.removeAllListeners('warning')

const command = commandOf(process.argv.slice(2))
if (command.kind !== 'watch')
  process.on('warning', ({ message }) => process.stderr.write(`pgherd: ${printable(message)}\n`))

function failed(error: unknown): number {
  process.stderr.write(`pgherd: ${printableLines(error instanceof Mistake ? error.message : String(error))}\n`)
  return error instanceof Mistake ? WRONG_CALL : FAILED
}

process.on('uncaughtException', (error) => process.exit(failed(error)))
run(command)
  .catch(failed)
  // Names that are still being resolved would keep the process for seconds.
  .then((code) => process.stdout.write('', () => process.exit(code)))
