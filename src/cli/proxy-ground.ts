// What the proxy stands on: its settings with the files that they name, read once and whole. Plain values, so that a process can hand them
// to another; `laid` makes of them what the proxy is built from.

import { readFileSync } from 'node:fs'
import type { Environment } from '../config/hosts.js'
import { printable } from '../core/words.js'
import { type Known, userlistIn } from '../proxy/auth/users.js'
import type { Tls } from '../proxy/client/door.js'
import type { Told } from '../proxy/console/managed.js'
import { tlsOf } from '../proxy/tls.js'
import { Mistake } from './herd.js'
import { type ProxyWanted, type ProxyWords, wantedBy } from './proxy-args.js'
import {
  CONFIG_VARIABLE,
  environmentLayer,
  fileLayer,
  KEYS,
  type Key,
  type Layer,
  resettle,
  SETTINGS,
  type Settled,
  settle,
} from './proxy-settings.js'

export interface Ground {
  readonly settled: Settled
  /** Texts of the files; absent: none is named. */
  readonly users: string | null
  readonly certificate: string | null
  readonly key: string | null
}

export interface Laid {
  readonly wanted: ProxyWanted
  readonly list: ReadonlyMap<string, Known>
  readonly tls: Tls | null
}

/** A file that the call names. */
function contents(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new Mistake(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`)
  }
}

function made<T>(path: string | null, make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (error instanceof Mistake) throw error
    const message = error instanceof Error ? error.message : String(error)
    throw new Mistake(path === null ? message : `${path}: ${message}`)
  }
}

/** Throws a Mistake: a file cannot be read, or what it says is wrong. */
export function groundOf({ flags, config }: ProxyWords, environment: Environment): Ground {
  const path = config ?? (environment[CONFIG_VARIABLE] || null)
  const file: Layer = path === null ? new Map() : made(path, () => fileLayer(contents(path)))
  return grounded(settle([flags, made(null, () => environmentLayer(environment)), file]))
}

function grounded(settled: Settled): Ground {
  const { authFile, tlsCert, tlsKey } = made(null, () => wantedBy(settled))
  const text = (named: string | null) => (named === null ? null : contents(named))
  const ground = { settled, users: text(authFile), certificate: text(tlsCert), key: text(tlsKey) }
  // Nothing is handed on that nothing can be built from.
  laid(ground)
  return ground
}

/** The same from the beginning, but for what may not change while the proxy runs: `warnings` name that. Throws a Mistake. */
export function regrounded(
  before: Ground,
  words: ProxyWords,
  environment: Environment
): { readonly ground: Ground; readonly warnings: readonly string[] } {
  const { settled, stays } = resettle(before.settled, groundOf(words, environment).settled)
  return {
    ground: grounded(settled),
    warnings: stays.map((key) => `${key} cannot change while the proxy runs: it stays as it is until a restart`),
  }
}

export function laid({ settled, users, certificate, key }: Ground): Laid {
  const wanted = made(null, () => wantedBy(settled))
  const tls =
    certificate === null || key === null
      ? null
      : made(wanted.tlsCert, () => tlsOf(certificate, key, wanted.isTlsRequired))
  return { wanted, list: users === null ? new Map() : made(wanted.authFile, () => userlistIn(users)), tls }
}

/** What is in force, for SHOW CONFIG. `target`: the servers without a password; `maxLagMillis` may stand in the URL. */
export function toldOf({ settled }: Ground, target: string, maxLagMillis: number): readonly Told[] {
  const values: Readonly<Partial<Record<Key, string>>> = { url: target, max_lag: String(maxLagMillis).toLowerCase() }
  return KEYS.map((key) => {
    const { text, source } = settled[key]
    const { initial, changes } = SETTINGS[key]
    return { key, value: printable(values[key] ?? text), initial, changes, source }
  })
}
