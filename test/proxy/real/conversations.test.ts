// What a client hears through the proxy is what the server itself would have said: seeded conversations of well-formed messages in any order,
// cut anywhere, held side by side with the same conversation on a connection of its own.

import assert from 'node:assert/strict'
import net from 'node:net'
import { startup } from '../../../src/proxy/wire/write.js'
import { type Cluster, startCluster } from '../../support/cluster.js'
import { type Random, seeded } from '../../support/grammar.js'
import { message } from '../../support/messages.js'
import { endProxies, proxyOn, type Served } from '../../support/proxies.js'

const SEED = Number(process.env.PGHERD_TEST_SEED ?? 20261130)
const ROUNDS = Number(process.env.PGHERD_TEST_FRAMES ?? 200)

const TEXTS = [
  'select 1',
  'select n from generate_series(1, 3) n',
  'select 1/0',
  'selec',
  'begin',
  'commit',
  'rollback',
  '',
]
const SIMPLE = [
  ...TEXTS,
  'select 1; select 2',
  'select 1; select 1/0; select 2',
  'begin; select 1',
  'copy (select 1) to stdout',
]
const NAMES = ['', '', 's1', 's2']
const PORTALS = ['', '', 'p1']

/** Messages, and such as show its end. */
function conversation(random: Random): Buffer[] {
  const pick = <T>(from: readonly T[]): T => from[random.below(from.length)] as T
  const made: Buffer[] = []
  for (let n = 1 + random.below(14); n > 0; n--) {
    const kind = random.below(20)
    if (kind < 4) made.push(message('P', `${pick(NAMES)}\0${pick(TEXTS)}\0\0\0`))
    else if (kind < 8) made.push(message('B', `${pick(PORTALS)}\0${pick(NAMES)}\0\0\0\0\0\0\0`))
    else if (kind < 10) made.push(message('D', random.below(2) === 0 ? `S${pick(NAMES)}\0` : `P${pick(PORTALS)}\0`))
    else if (kind < 13) made.push(message('E', `${pick(PORTALS)}\0\0\0\0${random.below(2) === 0 ? '\0' : '\x01'}`))
    else if (kind < 14) made.push(message('C', random.below(2) === 0 ? `S${pick(NAMES)}\0` : `P${pick(PORTALS)}\0`))
    else if (kind < 15) made.push(message('H', ''))
    else if (kind < 18) made.push(message('S', ''))
    else made.push(message('Q', `${pick(SIMPLE)}\0`))
  }
  made.push(message('S', ''), message('Q', 'rollback\0'), message('Q', 'select 4711\0'))
  return made
}

/** The letters of an answer, errors with their SQLSTATE; settings and notices, which come as they like, left out. */
function heard(bytes: Buffer): string[] {
  const found: string[] = []
  for (let at = 0; at + 5 <= bytes.length; ) {
    const until = at + 1 + bytes.readInt32BE(at + 1)
    if (until > bytes.length) break
    const letter = String.fromCharCode(bytes[at] as number)
    const body = bytes.toString('latin1', at + 5, until)
    at = until
    if (letter === 'E') found.push(`E${/\0C([^\0]+)/.exec(body)?.[1]}`)
    else if (letter === 'D') found.push(`D${body.slice(6)}`)
    else if (letter === 'C') found.push(`C(${body.slice(0, -1)})`)
    else if (letter === 'Z') found.push(`Z${body}`)
    else if (letter !== 'N' && letter !== 'S') found.push(letter)
  }
  return found
}

const STARTUP = startup(new Map(Object.entries({ user: 'app', database: 'app' })))

/** Says the chunks one after another; resolves with what was heard up to the answer of the last query, or to its end. */
function said(port: number, host: string, chunks: readonly Buffer[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, host, () => socket.write(STARTUP))
    let all = Buffer.alloc(0)
    let isIn = false
    const done = (how: string) => {
      clearTimeout(late)
      socket.destroy()
      resolve(how === '' ? heard(all) : [...heard(all), how])
    }
    const late = setTimeout(() => done('and then nothing'), 10_000)
    socket.on('error', reject)
    socket.on('close', () => done('closed'))
    socket.on('data', (bytes: Buffer) => {
      all = Buffer.concat([all, bytes])
      const letters = heard(all)
      if (!isIn) {
        if (letters.at(-1) !== 'ZI') return
        isIn = true
        all = Buffer.alloc(0)
        void (async () => {
          for (const chunk of chunks) {
            socket.write(chunk)
            await new Promise((next) => setImmediate(next))
          }
        })()
      } else if (letters.includes('D4711') && letters.at(-1) === 'ZI') done('')
    })
  })
}

describe('conversations through the proxy', () => {
  let cluster: Cluster

  before(async () => {
    cluster = await startCluster({ replicas: 1 })
  })
  after(async () => {
    await endProxies()
    await cluster.destroy()
  })

  async function holds(served: Served): Promise<void> {
    await served.ready(1)
    const random = seeded(SEED)
    const node = cluster.nodes[0] as Cluster['nodes'][number]
    for (let i = 0; i < ROUNDS; i++) {
      const messages = conversation(random)
      const whole = Buffer.concat(messages)
      const chunks: Buffer[] = []
      for (let at = 0; at < whole.length; ) {
        const length = random.below(3) === 0 ? 1 + random.below(30) : whole.length
        chunks.push(whole.subarray(at, at + length))
        at += length
      }
      const [direct, through] = await Promise.all([
        said(node.port, node.host, [whole]),
        said(served.port, '127.0.0.1', chunks),
      ])
      const text = messages.map((each) => JSON.stringify(each.toString('latin1'))).join(' ')
      // A name that is in use the proxy refuses before the text is read, and the server behind it.
      const same = through.map((each, at) => (each === 'E42P05' && /^E/.test(direct[at] ?? '') ? direct[at] : each))
      assert.deepEqual(same, direct, `conversation ${i}: ${text}`)
    }
  }

  it(`seed ${SEED}: ${ROUNDS} of them are those of the server`, async function () {
    this.timeout(120_000)
    await holds(await proxyOn(cluster))
  })

  it('also where a server connection keeps two statements', async function () {
    this.timeout(120_000)
    await holds(await proxyOn(cluster, { options: { maxPreparedStatements: 2 } }))
  })
})
