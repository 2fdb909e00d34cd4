// pgherd proxy: serves clients until a signal ends it. SIGTERM lets transactions end first, SIGHUP reads the configuration anew.

import cluster from 'node:cluster'
import { printable } from '../core/words.js'
import { metricsOf, serveMetrics } from '../proxy/metrics.js'
import { PgProxy } from '../proxy/proxy.js'
import { type Clock, systemClock } from '../runtime/clock.js'
import { complaints } from '../runtime/complaints.js'
import { targetOf } from './herd.js'
import type { ProxyWords } from './proxy-args.js'
import { addressText, configOf, failureText, type Surroundings } from './proxy-around.js'
import { groundOf, laid, regrounded, toldOf } from './proxy-ground.js'
import { worker } from './proxy-worker.js'
import { workers } from './proxy-workers.js'

type Listens = Awaited<ReturnType<PgProxy['listen']>>

/** `ready` is called when it listens, and says so; absent: one line does. */
export async function proxy(
  words: ProxyWords,
  around: Surroundings,
  clock: Clock = systemClock,
  ready?: (served: PgProxy, listens: Listens) => void
): Promise<number> {
  if (cluster.isWorker) return worker(around, clock)
  const { output, environment } = around
  let ground = groundOf(words, environment)
  let { wanted, list, tls } = laid(ground)
  if (wanted.workers > 1) return workers(words, ground, around, clock)
  const config = configOf(wanted, environment)
  const target = targetOf(config.seeds, config.client, environment)
  let [end, hurry] = [(_: boolean) => {}, () => {}]
  const ended = new Promise<boolean>((resolve) => {
    end = resolve
  })
  const hurried = new Promise<void>((resolve) => {
    hurry = resolve
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
        const message = `not reloaded, what was in force stays: ${failureText(error)}`
        say(message)
        return { code: 'F0000', message }
      }
    },
    shutdown: (waits) => leave(waits),
    team: null,
  })
  const leave = (waits: boolean) => {
    end(waits)
    // Also where it waits already.
    if (!waits) hurry()
  }
  around.signals((signal) => {
    if (signal === 'SIGHUP') served.parts.reload()
    else leave(signal === 'SIGTERM')
  })
  const metrics =
    wanted.metrics === null
      ? null
      : await serveMetrics(async () => metricsOf(served), wanted.metrics.host, wanted.metrics.port)
  const listens = await served.listen(wanted.listen.host, wanted.listen.port)
  if (ready !== undefined) ready(served, listens)
  else say(`pgherd proxy for ${target} listens on ${addressText(listens)}`)
  if (metrics !== null) say(`metrics on http://${addressText(metrics.address)}/metrics`)
  const waits = await ended
  if (waits) {
    say(`waits for ${served.clients.size} clients`)
    await Promise.race([served.drain(wanted.drainMillis), hurried])
  }
  metrics?.end()
  await served.end()
  return 0
}
