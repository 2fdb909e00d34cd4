// What hinders the pool from looking: probes that fail, hang or come late, an event loop that stands still, a machine that
// sleeps. And the moment at which a write counts.

import { block } from '../clock.js'
import { type Arena, isProbe, type Scenario } from '../scenario.js'
import { asSession } from '../sessions.js'
import * as writings from '../writings.js'
import { busy, calm, harmed, servedByReplica, settled } from './steps.js'

/** Its commit takes its time after the server has said that the statement is complete: the notice carries that out. */
const LATE_COMMIT = `create or replace function commit_late() returns trigger language plpgsql as $$
begin
  raise notice 'the commit is on its way';
  perform pg_sleep(0.2);
  return null;
end $$;
create constraint trigger late after update on counters deferrable initially deferred
  for each row when (new.writer = 0) execute function commit_late();`

/** The position in the answer to this probe is of a time just before what is written next. */
async function probeLeft({ relay, until }: Arena): Promise<void> {
  const sent = () => [...relay(0).links].filter(isProbe).reduce((sum, { bytes }) => sum + bytes.toServer, 0)
  const before = sent()
  await until('a probe to leave', () => sent() > before)
}

export const PROBES: readonly Scenario[] = [
  {
    name: 'a primary that cannot be probed',
    relayed: [0],
    options: () => ({ silentMillis: 60_000 }),
    steps: async (arena) => {
      await busy(arena)
      await calm(arena)
      arena.phase('healthy')
      await arena.reads(100)
      arena.phase('harmed')
      await arena.cluster.pauseReplay(1)
      const fault = arena.relay(0).impose({ on: isProbe, reset: true })
      await arena.lapse(1.3)
      fault.lift()
      await arena.cluster.resumeReplay(1)
      await calm(arena)
      arena.phase('mended')
      await arena.reads(50)
    },
    after: ({ cluster }) => cluster.resumeReplay(1),
  },
  {
    name: 'probes that time out',
    relayed: [0, 2],
    options: () => ({ silentMillis: 600 }),
    steps: async (arena) => {
      await busy(arena)
      await calm(arena)
      arena.phase('healthy')
      await arena.reads(100)
      arena.phase('harmed')
      await arena.cluster.pauseReplay(1)
      const faults = [0, 2].map((node) => arena.relay(node).impose({ on: isProbe, silent: ['toClient'] }))
      await arena.lapse(1.3)
      for (const fault of faults) fault.lift()
      await arena.cluster.resumeReplay(1)
      await calm(arena)
      arena.phase('mended')
      await arena.reads(50)
    },
    after: ({ cluster }) => cluster.resumeReplay(1),
  },
  {
    name: "the primary's answers to probes come late",
    relayed: [0],
    least: { healthy: 0.5, late: 0.05 },
    steps: harmed(
      async (arena) => {
        const { cluster, relay, load, boundMillis } = arena
        arena.phase('late')
        // A new connection takes three answers within the second that a probe has.
        relay(0).impose({ on: isProbe, delayMillis: { toClient: Math.min(0.5 * boundMillis, 250) } })
        await arena.outlast(1)
        await settled(arena)
        await Promise.all([cluster.pauseReplay(1), cluster.pauseReplay(2)])
        await arena.until('a replica to be fit', () => servedByReplica(arena))
        arena.phase('harmed')
        await probeLeft(arena)
        load.free('foreign')
      },
      async ({ cluster, relay }) => {
        await Promise.all([cluster.resumeReplay(1), cluster.resumeReplay(2)])
        relay(0).lift()
      }
    ),
    after: async ({ cluster }) => {
      await Promise.all([cluster.resumeReplay(1), cluster.resumeReplay(2)])
    },
  },
  {
    name: 'an event loop that stands still',
    steps: async (arena) => {
      await busy(arena)
      await calm(arena)
      arena.phase('healthy')
      await arena.reads(100)
      arena.phase('harmed')
      await Promise.all([arena.cluster.pauseReplay(1), arena.cluster.cut(2)])
      for (let i = 0; i < 2; i++) {
        await arena.reads(20)
        block(1.2 * arena.boundMillis)
      }
      await arena.reads(50)
      await Promise.all([arena.cluster.resumeReplay(1), arena.cluster.heal(2)])
      await calm(arena)
      block(1.2 * arena.boundMillis)
      arena.phase('mended')
      await arena.outlast(1)
    },
  },
  {
    name: 'a machine that slept',
    steps: async (arena) => {
      await busy(arena)
      await calm(arena)
      arena.phase('healthy')
      await arena.reads(100)
      arena.phase('harmed')
      await Promise.all([arena.cluster.pauseReplay(1), arena.cluster.cut(2)])
      await arena.reads(20)
      arena.clock.sleep(1.5 * arena.boundMillis)
      await arena.reads(50)
      await Promise.all([arena.cluster.resumeReplay(1), arena.cluster.heal(2)])
      await calm(arena)
      arena.phase('mended')
      await arena.reads(50)
    },
  },
  {
    name: 'a wall clock that is set',
    steps: harmed(
      async (arena) => {
        await Promise.all([arena.cluster.pauseReplay(1), arena.cluster.cut(2)])
        arena.clock.set(-3_600_000)
        await arena.outlast(0.8)
        arena.clock.set(7_200_000)
      },
      async ({ cluster }) => {
        await Promise.all([cluster.resumeReplay(1), cluster.heal(2)])
      }
    ),
  },
  {
    name: 'a machine that slept, and whose clock was then set back',
    steps: async (arena) => {
      await busy(arena)
      await calm(arena)
      arena.phase('healthy')
      await arena.reads(100)
      arena.phase('harmed')
      await Promise.all([arena.cluster.pauseReplay(1), arena.cluster.cut(2)])
      await arena.reads(20)
      arena.clock.sleep(1.5 * arena.boundMillis)
      await arena.reads(50)
      arena.clock.set(-3_600_000)
      await arena.outlast(1)
      await Promise.all([arena.cluster.resumeReplay(1), arena.cluster.heal(2)])
      await calm(arena)
    },
  },
  {
    name: 'a commit that takes its time',
    plan: { writings: [writings.checkedOutExtended], foreign: [] },
    least: { healthy: 0.2 },
    short: { interval: 300 },
    before: async ({ cluster }) => {
      const client = await cluster.connect(0)
      await client.query(LATE_COMMIT)
      await client.end()
      await cluster.delay(1, 300)
      await cluster.delay(2, 300)
    },
    steps: async (arena) => {
      await arena.load.hold('pool')
      await calm(arena)
      for (let i = 0; i < 3; i++) {
        arena.phase('healthy')
        await arena.reads(50)
        arena.phase('written')
        await arena.load.write(writings.checkedOutExtended)
        await arena.reads(20)
        await calm(arena)
      }
    },
    after: async ({ cluster }) => {
      await cluster.delay(1, 0)
      await cluster.delay(2, 0)
    },
  },
  {
    name: "sessions, readYourWrites: 'session'",
    options: () => ({ readYourWrites: 'session' as 'pool' }),
    plan: { sessions: 4 },
    needs: (Pool) => (asSession(Pool.prototype) === null ? 'this pool has no sessions' : null),
    steps: harmed(
      ({ cluster }) => cluster.delay(1, 50),
      ({ cluster }) => cluster.delay(1, 0)
    ),
  },
  {
    name: "own writes given up, readYourWrites: 'off'",
    options: () => ({ readYourWrites: 'off' }),
    steps: harmed(
      ({ cluster }) => cluster.pauseReplay(1),
      ({ cluster }) => cluster.resumeReplay(1)
    ),
  },
]
