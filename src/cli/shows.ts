// Two ways to show a watched cluster: a page that is redrawn on a terminal, with a log below, or a line for each change. The last
// page stays on the terminal.

import { printableJson, wrapped } from '../core/words.js'
import type { Paint } from '../report/text.js'
import type { TopologySnapshot } from '../report/types.js'
import { type Change, TONES } from './changes.js'
import type { Looking } from './herd.js'
import { clusterLines, hiddenHint, nodeLines, verdictLines } from './page.js'
import { type Environment, type Output, paintFor, Screen, widthFor } from './terminal.js'
import { verdictOf } from './verdict.js'

export interface Entry extends Change {
  readonly at: Date
}

/** Where it is shown. */
export interface Place {
  readonly output: Output & { on?(event: 'resize', listener: () => void): unknown }
  readonly environment: Environment
  /** Calls the first when the program is about to be stopped, the second when it goes on. */
  readonly stopped: (leave: () => void, enter: () => void) => void
}

export interface Show {
  /** Every server has been asked. */
  begin(): void
  draw(snapshot: TopologySnapshot, entries: readonly Entry[]): void
  told(entries: readonly Entry[]): void
  end(snapshot: TopologySnapshot, entries: readonly Entry[]): void
}

/** One line for each change, and nothing in between. */
export class Lines implements Show {
  readonly #output: Output
  readonly #paint: Paint
  readonly #json: boolean

  constructor({ output, environment }: Place, json: boolean) {
    this.#output = output
    this.#paint = paintFor(output, environment)
    this.#json = json
  }

  begin(): void {}
  draw(): void {}
  end(): void {}

  told(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const { at, kind, node, text, facts } = entry
      const line = this.#json
        ? printableJson({ time: at.toISOString(), kind, node, text, ...facts })
        : entryLines(entry, this.#paint, Infinity).join('')
      this.#output.write(`${line}\n`)
    }
  }
}

const LEAST_TEXT = 20

/** The node stands out in the first line. */
function entryLines({ at, node, text, tone }: Entry, paint: Paint, width: number): string[] {
  const two = (part: number) => String(part).padStart(2, '0')
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
  const time = `${clock}.${String(at.getMilliseconds()).padStart(3, '0')}  `
  const subject = node === null ? '' : `${node} `
  // Beside the time there is no room for words: they stand below it.
  if (width - time.length < LEAST_TEXT) {
    const lines = wrapped(subject + text, width - 2).map((line) => `  ${paint(line, ...TONES[tone])}`)
    return [paint(time.trim(), 'dim'), ...lines]
  }
  const [first = '', ...more] = wrapped(subject + text, width - time.length)
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

export class Live implements Show {
  readonly #looking: Looking
  readonly #place: Place
  readonly #paint: Paint
  readonly #screen: Screen
  #redraw: () => void = () => {}
  #begun = false

  constructor(looking: Looking, place: Place) {
    const { output, environment } = place
    this.#looking = looking
    this.#place = place
    this.#paint = paintFor(output, environment)
    this.#screen = new Screen(output)
    this.#screen.enter()
    output.on?.('resize', () => this.#redraw())
    place.stopped(
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
    const width = widthFor(this.#place.output)
    const last = entries.slice(-LAST_ENTRIES).flatMap((entry) => entryLines(entry, this.#paint, width))
    this.#place.output.write(`${[...this.#head(snapshot), '', ...last].join('\n')}\n`)
  }

  #head(snapshot: TopologySnapshot): string[] {
    const [paint, width] = [this.#paint, widthFor(this.#place.output)]
    return [
      ...wrapped(this.#looking.target, width).map((line) => paint(line, 'bold')),
      ...clusterLines(snapshot, paint, width),
      '',
      ...nodeLines(snapshot, paint, width),
      '',
      ...this.#verdict(snapshot, paint, width),
      ...hiddenHint(snapshot, paint, width),
    ]
  }

  /** Before every server was asked there is nothing to show. */
  #verdict(snapshot: TopologySnapshot, paint: Paint, width: number): string[] {
    return this.#begun ? verdictLines(verdictOf(snapshot), paint, width) : [paint('looking around ...', 'dim')]
  }

  #page(snapshot: TopologySnapshot, entries: readonly Entry[]): string[] {
    const paint = this.#paint
    const head = this.#head(snapshot)
    const room = Math.max(LEAST_ENTRIES, this.#screen.rows - head.length - AROUND_LOG)
    const width = widthFor(this.#place.output) - 2
    const lines = entries.slice(-room).flatMap((entry) => entryLines(entry, paint, width))
    const shown = lines.slice(-room).map((line) => `  ${line}`)
    const empty = Math.max(0, room - shown.length)
    const footer = paint('q or Ctrl-C ends this', 'dim')
    return [...head, '', paint('what changed', 'dim'), ...shown, ...Array(empty).fill(''), '', footer]
  }
}
