// pgherd watch: the picture as it changes. On a terminal it is drawn in place, with a log below; anywhere else each change is a
// line. It ends by a key or a signal, and leaves what was last seen on the terminal.

import { type Clock, systemClock, timeOfDay } from '../clock.js'
import type { TopologySnapshot } from '../pool/snapshot.js'
import { type Paint, wrapped } from '../text.js'
import type { Command } from './args.js'
import { type Change, changesBetween, failoverText, present, Reads, TONES, warningText } from './changes.js'
import { type Looking, lookAround, lookAt, pause } from './herd.js'
import { clusterLine, hiddenHint, nodeLines, verdictLines } from './page.js'
import { type Environment, isScreen, type Output, paintFor, Screen, widthFor } from './terminal.js'
import { verdictOf } from './verdict.js'

const TICK_MILLIS = 250
const FIRST_LOOK_MILLIS = 2000
const MOST_ENTRIES = 500

interface Entry extends Change {
  readonly at: Date
}

/** `ended` resolves with the exit code; `warned` calls back with each warning of the process. */
export interface Outside {
  readonly output: Output & { on?(event: 'resize', listener: () => void): unknown }
  readonly environment: Environment
  readonly ended: Promise<number>
  readonly stopped: (leave: () => void, enter: () => void) => void
  readonly warned: (listener: (message: string) => void) => void
}

export async function watch(
  wanted: Extract<Command, { kind: 'watch' }>,
  outside: Outside,
  clock: Clock = systemClock
): Promise<number> {
  const looking = lookAt(wanted.url, outside.environment, wanted.maxLagMillis)
  const live = !wanted.json && isScreen(outside.output, outside.environment)
  const show = live ? new Live(looking, outside) : new Lines(outside, wanted.json)
  const log = new Log(looking, show)
  let code: number | null = null
  try {
    outside.warned((message) => log.add([warningText(message)]))
    show.draw(looking.pool.topology(), log.entries)
    const over = outside.ended.then((ended) => {
      code = ended
    })
    await Promise.race([lookAround(looking, clock, FIRST_LOOK_MILLIS), over])
    if (code === null) log.begin()
    while (code === null) {
      looking.pool.health() // keeps it looking
      log.tick(clock.mono())
      await Promise.race([pause(clock, TICK_MILLIS), over])
    }
    return code
  } finally {
    show.end(looking.pool.topology(), log.entries)
    await looking.pool.end()
  }
}

interface Show {
  /** Everybody has been asked. */
  begin(): void
  draw(snapshot: TopologySnapshot, entries: readonly Entry[]): void
  told(entries: readonly Entry[]): void
  end(snapshot: TopologySnapshot, entries: readonly Entry[]): void
}

/** What happened, the newest last. */
class Log {
  readonly entries: Entry[] = []
  readonly #looking: Looking
  readonly #show: Show
  readonly #reads = new Reads()

  constructor(looking: Looking, show: Show) {
    this.#looking = looking
    this.#show = show
  }

  /** What was found on the way here is told as it is now. */
  begin(): void {
    const { pool } = this.#looking
    this.#show.begin()
    this.add(present(pool.topology()))
    pool.on('topology', (after, before) => this.add(changesBetween(before, after)))
    pool.on('failover', (failover) => this.add([failoverText(failover)]))
  }

  tick(now: number): void {
    this.add(this.#reads.note(this.#looking.pool.topology(), now))
  }

  add(changes: readonly Change[]): void {
    const at = timeOfDay()
    const entries = changes.map((change) => ({ ...change, at }))
    this.entries.push(...entries)
    this.entries.splice(0, this.entries.length - MOST_ENTRIES)
    if (entries.length > 0) this.#show.told(entries)
    this.#show.draw(this.#looking.pool.topology(), this.entries)
  }
}

/** One line for each change, and nothing in between. */
class Lines implements Show {
  readonly #output: Output
  readonly #paint: Paint
  readonly #json: boolean

  constructor({ output, environment }: Outside, json: boolean) {
    this.#output = output
    this.#paint = paintFor(output, environment)
    this.#json = json
  }

  begin(): void {}
  draw(): void {}
  end(): void {}

  told(entries: readonly Entry[]): void {
    for (const { at, kind, node, text, tone } of entries) {
      const line = this.#json
        ? JSON.stringify({ time: at.toISOString(), kind, node, text })
        : entryLines({ at, kind, node, text, tone }, this.#paint, Infinity).join('')
      this.#output.write(`${line}\n`)
    }
  }
}

/** The node stands out in the first line. */
function entryLines({ at, node, text, tone }: Entry, paint: Paint, width: number): string[] {
  const two = (part: number) => String(part).padStart(2, '0')
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
  const time = `${clock}.${String(at.getMilliseconds()).padStart(3, '0')}  `
  const subject = node === null ? '' : `${node} `
  const [first = '', ...more] = wrapped(subject + text, Math.max(20, width - time.length))
  const tail = first.startsWith(subject) ? first.slice(subject.length) : first
  const head = first.startsWith(subject) ? paint(subject, 'bold') : ''
  const rest = more.map((line) => ' '.repeat(time.length) + paint(line, ...TONES[tone]))
  return [paint(time, 'dim') + head + paint(tail, ...TONES[tone]), ...rest]
}

/** Lines that the page needs beside the head and the log: blank ones, the log's title, the footer, and where the cursor rests. */
const AROUND_LOG = 5
const LEAST_ENTRIES = 3
/** How much of the log stays on the terminal when it is over. */
const LAST_ENTRIES = 20

class Live implements Show {
  readonly #looking: Looking
  readonly #outside: Outside
  readonly #paint: Paint
  readonly #screen: Screen
  #redraw: () => void = () => {}
  #begun = false

  constructor(looking: Looking, outside: Outside) {
    const { output, environment } = outside
    this.#looking = looking
    this.#outside = outside
    this.#paint = paintFor(output, environment)
    this.#screen = new Screen(output)
    this.#screen.enter()
    output.on?.('resize', () => this.#redraw())
    outside.stopped(
      () => this.#screen.leave(),
      () => {
        this.#screen.enter()
        this.#redraw()
      }
    )
  }

  begin(): void {
    this.#begun = true
  }

  told(): void {}

  draw(snapshot: TopologySnapshot, entries: readonly Entry[]): void {
    this.#redraw = () => this.#screen.draw(this.#page(snapshot, entries))
    this.#redraw()
  }

  end(snapshot: TopologySnapshot, entries: readonly Entry[]): void {
    this.#screen.leave()
    this.#redraw = () => {}
    const width = widthFor(this.#outside.output)
    const last = entries.slice(-LAST_ENTRIES).flatMap((entry) => entryLines(entry, this.#paint, width))
    this.#outside.output.write(`${[...this.#head(snapshot), '', ...last].join('\n')}\n`)
  }

  #head(snapshot: TopologySnapshot): string[] {
    const [paint, width] = [this.#paint, widthFor(this.#outside.output)]
    return [
      paint(this.#looking.target, 'bold'),
      clusterLine(snapshot, paint),
      '',
      ...nodeLines(snapshot, paint, width),
      '',
      ...this.#verdict(snapshot, paint, width),
      ...hiddenHint(snapshot, paint, width),
    ]
  }

  /** Who has not asked everybody has nothing to say yet. */
  #verdict(snapshot: TopologySnapshot, paint: Paint, width: number): string[] {
    return this.#begun ? verdictLines(verdictOf(snapshot), paint, width) : [paint('looking around ...', 'dim')]
  }

  #page(snapshot: TopologySnapshot, entries: readonly Entry[]): string[] {
    const paint = this.#paint
    const head = this.#head(snapshot)
    const room = Math.max(LEAST_ENTRIES, this.#screen.rows - head.length - AROUND_LOG)
    const width = widthFor(this.#outside.output) - 2
    const lines = entries.slice(-room).flatMap((entry) => entryLines(entry, paint, width))
    const shown = lines.slice(-room).map((line) => `  ${line}`)
    const empty = Math.max(0, room - shown.length)
    const footer = paint('q or Ctrl-C ends this', 'dim')
    return [...head, '', paint('what changed', 'dim'), ...shown, ...Array(empty).fill(''), '', footer]
  }
}
