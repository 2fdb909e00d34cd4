// The words behind `pgherd` -> what is wanted of it, or what is wrong with them. Reads no environment and prints nothing.

import { parseArgs } from 'node:util'
import { type ProxyWords, proxyWordsOf } from './proxy-args.js'
import { isUrl } from './proxy-settings.js'

export type Command =
  | { readonly kind: 'help'; readonly of: Topic | null }
  | { readonly kind: 'version' }
  | { readonly kind: 'wrong'; readonly message: string; readonly of: Topic | null }
  | (Wanted & { readonly kind: 'status'; readonly replicas: number })
  | (Wanted & { readonly kind: 'watch' })
  | (Wanted & { readonly kind: 'explain'; readonly statement: string })
  | ProxyWords

export interface Wanted {
  /** Absent: the environment tells. */
  readonly url: string | null
  readonly maxLagMillis: number
  /** As the pool's option; null: the URL says, or the pool's default is meant. */
  readonly discovery: 'replication' | 'dns' | null
  /** How long to look around. */
  readonly timeoutMillis: number
  readonly json: boolean
}

export const TOPICS = ['status', 'watch', 'explain', 'proxy'] as const
export type Topic = (typeof TOPICS)[number]

const DEFAULT_LAG_MILLIS = 1000
const DEFAULT_TIMEOUT_SECONDS = 5

const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'V' },
  json: { type: 'boolean' },
  timeout: { type: 'string' },
  'max-lag': { type: 'string' },
  discovery: { type: 'string' },
  replicas: { type: 'string' },
} as const

type Given = { readonly [name in keyof typeof OPTIONS]?: string | boolean | undefined }

/** Beside --help, --json, --max-lag and --discovery, which all of them have. */
const OWN: Readonly<Record<Exclude<Topic, 'proxy'>, readonly (keyof Given)[]>> = {
  status: ['timeout', 'replicas'],
  watch: [],
  explain: ['timeout'],
}
const COMMON: readonly (keyof Given)[] = ['help', 'version', 'json', 'max-lag', 'discovery']

export function commandOf(words: readonly string[]): Command {
  const [first, ...rest] = words
  // It has options of its own.
  if (first === 'proxy' && !rest.some((word) => HELPS.has(word))) {
    const wanted = proxyWordsOf(rest)
    return typeof wanted === 'string' ? { kind: 'wrong', message: wanted, of: 'proxy' } : wanted
  }
  try {
    const { values, positionals } = parseArgs({ args: [...words], options: OPTIONS, allowPositionals: true })
    return read(values, positionals)
  } catch (error) {
    if (error instanceof Wrong) return { kind: 'wrong', message: error.message, of: error.of }
    // parseArgs goes on about what else might have been meant.
    const [message = ''] = String((error as Error).message).split(/\. |\n/)
    return { kind: 'wrong', message: message.replace(/^[A-Z]/, (letter) => letter.toLowerCase()), of: null }
  }
}

const HELPS: ReadonlySet<string> = new Set(['--help', '-h', '--version', '-V'])

class Wrong extends Error {
  readonly of: Topic | null

  constructor(of: Topic | null, message: string) {
    super(message)
    this.of = of
  }
}

function read(given: Given, positionals: readonly string[]): Command {
  const [first, ...rest] = positionals
  if (given.version) return { kind: 'version' }
  if (first === 'help') return { kind: 'help', of: rest[0] === undefined ? null : topicOf(rest[0]) }
  if (given.help) return { kind: 'help', of: first === undefined ? null : topicOf(first) }
  if (first === undefined) throw new Wrong(null, 'no command was given')
  const topic = topicOf(first)
  if (topic === 'proxy') throw new Wrong(topic, 'proxy comes before its options: pgherd proxy --listen ... URL')
  for (const name of Object.keys(given) as (keyof Given)[]) {
    if (!COMMON.includes(name) && !OWN[topic].includes(name)) throw new Wrong(topic, `${topic} has no option --${name}`)
  }
  return topic === 'explain' ? explain(given, rest) : looking(topic, given, rest)
}

function topicOf(word: string): Topic {
  const topic = TOPICS.find((each) => each === word)
  if (topic !== undefined) return topic
  // The commonest slip: the URL without a command. It is not repeated, for what it holds.
  if (isUrl(word)) throw new Wrong(null, 'a command comes before the URL: pgherd status URL')
  throw new Wrong(null, `there is no command '${word}'`)
}

function looking(kind: 'status' | 'watch', given: Given, rest: readonly string[]): Command {
  if (rest.length > 1)
    throw new Wrong(kind, `${kind} takes one URL; several hosts are a list in it: postgres://a,b/shop`)
  const wanted = wantedOf(kind, given, rest[0] ?? null)
  if (kind === 'watch') return { kind, ...wanted }
  const replicas = given.replicas === undefined ? 0 : Number(given.replicas)
  if (!Number.isInteger(replicas) || replicas < 0 || given.replicas === '') {
    throw new Wrong(kind, '--replicas must be a number of replicas')
  }
  return { kind, ...wanted, replicas }
}

function explain(given: Given, rest: readonly string[]): Command {
  const [first, second, ...more] = rest
  if (more.length > 0) throw new Wrong('explain', 'explain takes one statement: put it in quotes')
  const [url, statement] = second === undefined ? [null, first] : [first ?? null, second]
  if (statement === undefined || statement.trim() === '' || (second === undefined && isUrl(statement))) {
    throw new Wrong('explain', 'explain needs a statement: pgherd explain URL "select ..."')
  }
  return { kind: 'explain', ...wantedOf('explain', given, url), statement }
}

function wantedOf(topic: Topic, given: Given, url: string | null): Wanted {
  if (url !== null && !isUrl(url)) {
    throw new Wrong(topic, 'that is no URL: it looks like postgres://user@host:5432,otherhost/database')
  }
  const timeout = given.timeout === undefined ? DEFAULT_TIMEOUT_SECONDS : Number(given.timeout)
  if (!(timeout > 0 && timeout <= 3600)) throw new Wrong(topic, '--timeout must be a number of seconds, up to 3600')
  const [maxLagMillis, discovery] = [lagOf(topic, given), discoveryOf(topic, given)]
  return { url, maxLagMillis, discovery, timeoutMillis: timeout * 1000, json: given.json === true }
}

function discoveryOf(topic: Topic, { discovery }: Given): Wanted['discovery'] {
  if (discovery === undefined || discovery === 'replication' || discovery === 'dns') return discovery ?? null
  throw new Wrong(topic, '--discovery must be replication or dns')
}

function lagOf(topic: Topic, given: Given): number {
  const word = given['max-lag']
  if (word === undefined) return DEFAULT_LAG_MILLIS
  const millis = /^inf(inity)?$/i.test(String(word)) ? Infinity : Number(word)
  if (!(millis > 0)) throw new Wrong(topic, '--max-lag must be a number of milliseconds above 0, or infinity')
  return millis
}
