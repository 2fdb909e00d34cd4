// Two topologies -> what changed between them, in words for a log. Reads no clock: the caller passes the time for what must last
// to count.

import { listed, millisText, printable } from '../core/words.js'
import type { Failover } from '../pool/types.js'
import { reasonOf } from '../report/print.js'
import type { Style } from '../report/text.js'
import type { NodeSnapshot, TopologySnapshot } from '../report/types.js'

export type Tone = 'good' | 'bad' | 'odd' | 'plain'

export interface Change {
  readonly kind:
    | 'node'
    | 'gone'
    | 'state'
    | 'suspect'
    | 'drain'
    | 'reads'
    | 'primary'
    | 'contested'
    | 'failover'
    | 'warning'
  /** `host:port`; null: it is about the whole. */
  readonly node: string | null
  readonly text: string
  readonly tone: Tone
  /** The same for programs. */
  readonly facts?: Readonly<Record<string, unknown>>
}

export const TONES: Readonly<Record<Tone, readonly Style[]>> = {
  good: ['green'],
  bad: ['red'],
  odd: ['yellow'],
  plain: [],
}

/** The first lines of a log: every node as it is. */
export function present({ nodes }: TopologySnapshot): Change[] {
  return nodes.map((node) => stateChange('node', node))
}

export function changesBetween(before: TopologySnapshot, after: TopologySnapshot): Change[] {
  const olds = new Map(before.nodes.map((node) => [node.key, node]))
  const news = new Map(after.nodes.map((node) => [node.key, node]))
  const found: Change[] = []
  for (const { key } of before.nodes) {
    if (!news.has(key)) found.push({ kind: 'gone', node: key, text: 'is listed nowhere any more', tone: 'plain' })
  }
  for (const node of after.nodes) {
    const old = olds.get(node.key)
    if (old === undefined) found.push({ kind: 'node', node: node.key, text: foundText(node), tone: 'plain' })
    else found.push(...nodeChanges(old, node))
  }
  return [...found, ...wholeChanges(before, after)]
}

function nodeChanges(old: NodeSnapshot, node: NodeSnapshot): Change[] {
  const of = node.key
  const found: Change[] = []
  // A new primary is reported as a change of the whole.
  if (old.state !== node.state && node.state !== 'primary') {
    found.push(stateChange('state', node))
  } else if (old.suspect !== node.suspect) {
    const text = node.suspect ? isText(node) : 'has answered, and is suspect no more'
    found.push({ kind: 'suspect', node: of, text, tone: node.suspect ? 'odd' : 'good' })
  } else if (old.state === node.state && isUnwell(node) && old.failure !== node.failure && node.failure !== null) {
    found.push(stateChange('state', node))
  }
  if (old.draining !== node.draining) {
    found.push({ kind: 'drain', node: of, text: node.draining ? 'is left alone' : 'is used again', tone: 'odd' })
  }
  return found
}

function stateChange(kind: 'node' | 'state', node: NodeSnapshot): Change {
  const { key, state, timeline, failure } = node
  return { kind, node: key, text: isText(node), tone: toneOf(node), facts: { state, timeline, failure } }
}

function isUnwell({ state }: NodeSnapshot): boolean {
  return state === 'down' || state === 'unknown'
}

function wholeChanges(before: TopologySnapshot, after: TopologySnapshot): Change[] {
  if (after.contested.length > 0 && before.contested.length === 0) {
    const text = `no server takes writes: ${listed(after.contested)} claim to be the primary, and nothing decides`
    return [{ kind: 'contested', node: null, text, tone: 'bad' }]
  }
  if (before.primary === after.primary && before.epoch === after.epoch) return []
  if (after.primary === null) {
    return [{ kind: 'primary', node: null, text: 'there is no primary: writes wait', tone: 'bad' }]
  }
  const timeline = after.nodes.find(({ key }) => key === after.primary)?.timeline
  const on = timeline === null || timeline === undefined ? '' : `, timeline ${timeline}`
  const text = `is the primary${on}, epoch ${after.epoch}`
  return [{ kind: 'primary', node: after.primary, text, tone: 'good', facts: { timeline, epoch: after.epoch } }]
}

export function failoverText({ from, to, millis }: Failover): Change {
  const moved = from === to || from === null ? 'is back as the primary' : `has taken over from ${from}`
  const facts = { from, to, millis }
  return { kind: 'failover', node: to, text: `${moved} after ${millisText(millis)}`, tone: 'good', facts }
}

export function warningText(message: string): Change {
  return { kind: 'warning', node: null, text: printable(message), tone: 'odd' }
}

function foundText({ foundBy, name }: NodeSnapshot): string {
  return name === null ? `was found (${foundBy})` : `was found (${foundBy} ${printable(name)})`
}

/** Its state, and why it is not healthy. */
function isText(node: NodeSnapshot): string {
  const { state, suspect, timeline } = node
  const why = state === 'replica' && !suspect ? null : reasonOf(node)
  const on = timeline === null ? '' : `, timeline ${timeline}`
  return `is ${suspect ? 'suspect' : WORDS[state]}${why === null ? on : `: ${why}`}`
}

const WORDS: Readonly<Record<NodeSnapshot['state'], string>> = {
  primary: 'the primary',
  replica: 'a replica',
  claimant: 'refused as a primary',
  down: 'down',
  unknown: 'unknown',
  foreign: 'foreign',
  alias: 'an alias',
}

function toneOf({ state, suspect }: NodeSnapshot): Tone {
  if (suspect) return 'odd'
  if (state === 'primary' || state === 'replica') return 'good'
  return state === 'alias' ? 'plain' : 'bad'
}

/** Shorter than this a replica falls behind and catches up all the time. */
const LASTING_MILLIS = 1000

/** Which replicas serve reads: news once it has lasted. */
export class Reads {
  readonly #told = new Map<string, boolean>()
  readonly #differs = new Map<string, number>()

  /** `now` on any clock in milliseconds that only goes on. */
  note({ nodes }: TopologySnapshot, now: number): Change[] {
    const found: Change[] = []
    for (const node of nodes) {
      const { key, state, suspect, refused, draining } = node
      if (state !== 'replica') this.#forget(key)
      if (state !== 'replica' || suspect || draining) continue
      const serves = refused === null
      if (serves === (this.#told.get(key) ?? true)) {
        this.#differs.delete(key)
        this.#told.set(key, serves)
        continue
      }
      const since = this.#differs.get(key) ?? now
      this.#differs.set(key, since)
      if (now - since < LASTING_MILLIS) continue
      this.#told.set(key, serves)
      this.#differs.delete(key)
      const text = serves ? 'serves reads again' : `serves no reads: ${refused}`
      found.push({ kind: 'reads', node: key, text, tone: serves ? 'good' : 'odd', facts: { refused } })
    }
    return found
  }

  #forget(key: string): void {
    this.#told.delete(key)
    this.#differs.delete(key)
  }
}
