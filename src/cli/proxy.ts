// pgherd proxy: serves clients until a signal ends it. SIGTERM lets transactions end first, SIGHUP reads the configuration anew.

import pg from 'pg'
import { type Config, resolveConfig } from '../config/config.js'
import type { Environment } from '../config/hosts.js'
import { printable } from '../core/words.js'
import { serveMetrics } from '../proxy/metrics.js'
import { PgProxy } from '../proxy/proxy.js'
import { type Clock, systemClock } from '../runtime/clock.js'
import { complaints } from '../runtime/complaints.js'
import { Mistake, mistakeOf, targetOf } from './herd.js'
import type { ProxyWanted, ProxyWords } from './proxy-args.js'
import { groundOf, laid, regrounded, toldOf } from './proxy-ground.js'
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

export async function proxy(words: ProxyWords, around: Surroundings, clock: Clock = systemClock): Promise<number> {
  const { output, environment } = around
  let ground = groundOf(words, environment)
  let { wanted, list, tls } = laid(ground)
  const config = configOf(wanted, environment)
  const target = targetOf(config.seeds, config.client, environment)
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
    list,
    tls,
    version: around.version,
    shown: () => toldOf(ground, target, config.maxLagMillis),
    reload: () => {
      try {
        const fresh = regrounded(ground, words, environment)
        ground = fresh.ground
        ;({ wanted, list, tls } = laid(ground))
        served.reload(wanted.options, list, tls)
        say(['reloaded', ...fresh.warnings].join('; '))
        return fresh.warnings
      } catch (error) {
        const message = `not reloaded, what was in force stays: ${error instanceof Error ? error.message : String(error)}`
        say(message)
        return { code: 'F0000', message }
      }
    },
    shutdown: (waits) => end(waits),
  })
  around.signals((signal) => {
    if (signal === 'SIGHUP') served.parts.reload()
    else end(signal === 'SIGTERM')
  })
  const metrics = wanted.metrics === null ? null : await serveMetrics(served, wanted.metrics.host, wanted.metrics.port)
  const { address, port } = await served.listen(wanted.listen.host, wanted.listen.port)
  say(`pgherd proxy for ${target} listens on ${address.includes(':') ? `[${address}]` : address}:${port}`)
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
