// A terminal that is none: tmux keeps the screen of a program, takes keys for it, and shows what a person would see.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { eventually } from './pools.js'

const run = promisify(execFile)
let terminals = 0

/** Why there can be no terminal here; null: there can. */
export async function missingTmux(): Promise<string | null> {
  try {
    await run('tmux', ['-V'])
    return null
  } catch {
    return 'tmux is not installed (Debian: apt-get install tmux), so nothing can be run in a terminal'
  }
}

export class Terminal {
  readonly #socket = `pgherd-test-${process.pid}-${terminals++}`

  /** `command` is a line of sh. What it writes behind its end stays on the screen. */
  static async open(command: string, columns: number, rows: number, env: NodeJS.ProcessEnv): Promise<Terminal> {
    const terminal = new Terminal()
    const size = ['-x', String(columns), '-y', String(rows)]
    const line = `${command}; echo "[exit $?]"; sleep 600`
    // -u: UTF-8, whatever the locale says. -f /dev/null: nobody's own configuration.
    await terminal.#tmux(['-u', '-f', '/dev/null', 'new-session', '-d', '-s', 'test', ...size, line], env)
    return terminal
  }

  #tmux(words: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    return run('tmux', ['-L', this.#socket, ...words], { env })
  }

  /** Line by line, without what fills them up. */
  async screen(): Promise<string> {
    return (await this.#tmux(['capture-pane', '-p', '-t', 'test'])).stdout.trimEnd()
  }

  /** With the escape sequences of its colours; an escape is shown as ^. */
  async painted(): Promise<string> {
    return (await this.#tmux(['capture-pane', '-p', '-e', '-t', 'test'])).stdout.replaceAll('\x1b', '^')
  }

  async type(text: string): Promise<void> {
    await this.#tmux(['send-keys', '-t', 'test', '-l', text])
    await this.press('Enter')
  }

  /** 'q', 'C-c', ... */
  async press(key: string): Promise<void> {
    await this.#tmux(['send-keys', '-t', 'test', key])
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux(['resize-window', '-t', 'test', '-x', String(columns), '-y', String(rows)])
  }

  async fact(format: 'cursor_flag' | 'alternate_on' | 'wrap_flag' | 'pane_width'): Promise<string> {
    return (await this.#tmux(['display-message', '-p', '-t', 'test', `#{${format}}`])).stdout.trim()
  }

  /** Gives the screen as soon as the pattern is on it. */
  async shows(pattern: RegExp, millis = 20_000): Promise<string> {
    let last = ''
    const seen = async () => {
      last = await this.screen()
      return pattern.test(last)
    }
    try {
      await eventually(`the screen shows ${pattern}`, seen, millis)
    } catch (error) {
      throw new Error(`${(error as Error).message}; it shows\n${last}`)
    }
    return last
  }

  async close(): Promise<void> {
    await this.#tmux(['kill-server']).catch(() => {}) // it has ended by itself
  }
}
