// pgherd proxy: serves clients until a signal ends it. SIGTERM lets transactions end first, SIGHUP reads the files anew.

import { readFileSync } from 'node:fs'
import pg from 'pg'
import { type Config, resolveConfig } from '../config/config.js'
import type { Environment } from '../config/hosts.js'
import { printable } from '../core/words.js'
import { userlistIn } from '../proxy/auth/users.js'
import { serveMetrics } from '../proxy/metrics.js'
import { PgProxy } from '../proxy/proxy.js'
import { tlsOf } from '../proxy/tls.js'
import { type Clock, systemClock } from '../runtime/clock.js'
import { complaints } from '../runtime/complaints.js'
import { Mistake, mistakeOf, targetOf } from './herd.js'
import type { ProxyWanted } from './proxy-args.js'
import type { Output } from './terminal.js'

export interface Surroundings {
  readonly output: Output
  readonly environment: Environment
  readonly version: string
  /** Calls back with each signal that the process gets. */
  readonly signals: (listener: (signal: 'SIGHUP' | 'SIGINT' | 'SIGTERM') => void) => void
}

function configOf({ url, maxLagMillis }: ProxyWanted, environment: Environment): Config {
  const connectionString = url ?? (environment.DATABASE_URL || null)
  const options = {
    // Each client connection sees its own writes; that of the others it sees within the lag bound.
    readYourWrites: 'session',
    ...(maxLagMillis === null ? {} : { maxLagMillis }),
    ...(connectionString === null ? {} : { connectionString }),
  }
  try {
    const config = resolveConfig(options, environment, pg.defaults)
    const { user, password, database } = config.client
    const name = user || environment.PGUSER || environment.USER
    const client = {
      ...config.client,
      user: name,
      password: password ?? environment.PGPASSWORD,
      database: database || environment.PGDATABASE || name,
    }
    return { ...config, client }
  } catch (error) {
    throw new Mistake(mistakeOf(error))
  }
}

/** A file that the call names. */
function contents(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new Mistake(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`)
  }
}

function made<T>(path: string, make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (error instanceof Mistake) throw error
    throw new Mistake(`${path}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

type Listens = Awaited<ReturnType<PgProxy['listen']>>

/** `ready` is called when it listens, and says so; absent: one line does. */
export async function proxy(
  wanted: ProxyWanted,
  around: Surroundings,
  clock: Clock = systemClock,
  ready?: (served: PgProxy, listens: Listens) => void
): Promise<number> {
  const { output, environment } = around
  const config = configOf(wanted, environment)
  const { authFile, tlsCert, tlsKey } = wanted
  const list = () => (authFile === null ? new Map() : made(authFile, () => userlistIn(contents(authFile))))
  const secure = () =>
    tlsCert === null || tlsKey === null
      ? null
      : made(tlsCert, () => tlsOf(contents(tlsCert), contents(tlsKey), wanted.isTlsRequired))
  let end = (_: boolean) => {}
  const ended = new Promise<boolean>((resolve) => {
    end = resolve
  })
  const say = (text: string) => output.write(`${printable(text)}\n`)
  const served = new PgProxy({
    clock,
    complain: complaints(),
    config,
    options: wanted.options,
    list: list(),
    tls: secure(),
    version: around.version,
    reload: () => {
      try {
        served.reload(list(), secure())
        return null
      } catch (error) {
        return { code: 'F0000', message: error instanceof Error ? error.message : String(error) }
      }
    },
    shutdown: (waits) => end(waits),
  })
  around.signals((signal) => {
    if (signal !== 'SIGHUP') return end(signal === 'SIGTERM')
    const wrong = served.parts.reload()
    say(wrong === null ? 'reloaded' : `not reloaded: ${wrong.message}`)
  })
  const metrics = wanted.metrics === null ? null : await serveMetrics(served, wanted.metrics.host, wanted.metrics.port)
  const listens = await served.listen(wanted.listen.host, wanted.listen.port)
  const { address, port } = listens
  if (ready !== undefined) ready(served, listens)
  else
    say(
      `pgherd proxy for ${targetOf(config.seeds, config.client, environment)} listens on ${address.includes(':') ? `[${address}]` : address}:${port}`
    )
  if (metrics !== null) say(`metrics on http://${metrics.address.address}:${metrics.address.port}/metrics`)
  const waits = await ended
  if (waits) {
    say(`waits for ${served.clients.size} clients`)
    await served.drain(wanted.drainMillis)
  }
  metrics?.end()
  await served.end()
  return 0
}
