// One of the processes of pgherd proxy --workers: serves the clients that its parent gives it, and does what its parent asks. Signals are the
// parent's: a terminal and systemd send them to all processes. It goes when its parent goes.

import cluster from 'node:cluster'
import type net from 'node:net'
import { obey } from '../proxy/console/orders.js'
import { show } from '../proxy/console/shows.js'
import { metricsOf } from '../proxy/metrics.js'
import { PgProxy } from '../proxy/proxy.js'
import type { Clock } from '../runtime/clock.js'
import { complaints } from '../runtime/complaints.js'
import { targetOf } from './herd.js'
import { configOf, type Surroundings } from './proxy-around.js'
import { type Handing, isHanding } from './proxy-entrance.js'
import { laid, toldOf } from './proxy-ground.js'
import { Line } from './proxy-line.js'

export async function worker({ environment, version, signals }: Surroundings, clock: Clock): Promise<number> {
  const channel = cluster.worker
  if (channel === undefined) throw new Error('a worker has a parent')
  signals(() => {})
  let [isOver, leave, isReady] = [false, () => {}, (_: PgProxy) => {}]
  const left = new Promise<void>((resolve) => {
    leave = resolve
  })
  // A question may come in the same moment as the configuration.
  const ready = new Promise<PgProxy>((resolve) => {
    isReady = resolve
  })
  const tell = (handing: Handing) => channel.send(handing, () => {})
  const line = new Line<'show' | 'order' | 'metrics' | 'reload' | 'end' | 'cancel'>(
    // What cannot be sent has no receiver: the parent is gone, and its end ends this process.
    (message) => channel.send(message, () => {}),
    {
      show: async (what) => show(what, await ready),
      order: async (order) => obey(order, await ready),
      metrics: async () => metricsOf(await ready),
      reload: async (fresh) => {
        const proxy = await ready
        ground = fresh
        ;({ wanted, list, tls } = laid(ground))
        proxy.reload(wanted.options, list, tls)
        return null
      },
      cancel: async ({ pid, secret }) => {
        await (await ready).cancel(pid, Buffer.from(secret))
        return null
      },
      end: async (waits) => {
        const proxy = await ready
        if (!waits || isOver) leave()
        else void proxy.drain(wanted.drainMillis).then(leave)
        isOver = true
        return proxy.clients.size
      },
    },
    clock
  )
  channel.on('message', (message: unknown, socket?: net.Socket) => {
    if (!isHanding(message)) line.take(message)
    else if (socket === undefined) tell({ client: 'left', id: message.id })
    else {
      socket.once('close', () => tell({ client: 'left', id: message.id }))
      tell({ client: 'took', id: message.id })
      void ready.then((proxy) => proxy.take(socket))
    }
  })
  const beginning = await line.ask('begin', null)
  let { ground } = beginning
  let { wanted, list, tls } = laid(ground)
  const config = configOf(wanted, environment)
  const target = targetOf(config.seeds, config.client, environment)
  const served = new PgProxy({
    clock,
    complain: complaints(),
    config,
    options: wanted.options,
    list,
    tls,
    version,
    salting: Buffer.from(beginning.salting),
    shown: () => toldOf(ground, target, config.maxLagMillis),
    reload: () => line.ask('reloadAll', null),
    shutdown: (waits) => void line.ask('shutdown', waits).catch(() => {}),
    team: {
      worker: beginning.worker,
      show: (what) => line.ask('showAll', what),
      order: (order) => line.ask('orderAll', order),
      cancel: async (pid, secret) => {
        await line.ask('cancel', { pid, secret })
      },
    },
  })
  if (beginning.isPaused) served.pause()
  isReady(served)
  served.router.herd.open()
  await line.ask('serves', null)
  await left
  await served.end()
  return 0
}
