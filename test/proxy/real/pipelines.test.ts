// Clients that do more than one thing at a time: postgres.js, which parses and describes before it binds (Flush), and units that are sent
// without waiting for answers.

import assert from 'node:assert/strict'
import net from 'node:net'
import postgres from 'postgres'
import { startup } from '../../../src/proxy/wire/write.js'
import { type Cluster, startCluster } from '../../support/cluster.js'
import { message } from '../../support/messages.js'
import { endProxies, proxyOn, type Served } from '../../support/proxies.js'

const STARTUP = startup(new Map(Object.entries({ user: 'app', database: 'app' })))
const SYNC = message('S', '')
const parse = (name: string, text: string) => message('P', `${name}\0${text}\0\0\0`)
const bind = (name: string) => message('B', `\0${name}\0\0\0\0\0\0\0`)
const EXECUTE = message('E', '\0\0\0\0\0')

describe('pipelines through the proxy', () => {
  let cluster: Cluster
  let served: Served

  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    const client = await cluster.connect(0)
    await client.query('create table lines (id int primary key, n int)')
    await cluster.caughtUp(1, 0)
    served = await proxyOn(cluster)
    await served.ready(1)
  })
  after(async () => {
    await endProxies()
    await cluster.destroy()
  })

  it('postgres.js: statements with Flush, a pipeline, a transaction, errors, COPY', async () => {
    const sql = postgres({
      host: '127.0.0.1',
      port: served.port,
      user: 'app',
      database: 'app',
      max: 3,
      onnotice: () => {},
    })
    try {
      for (let i = 0; i < 10; i++) await sql`insert into lines values (${i}, ${i * 2})`
      // Each of its connections sees its own writes.
      await cluster.caughtUp(1, 0)
      const many = await Promise.all(
        Array.from({ length: 40 }, (_, i) => sql`select n from lines where id = ${i % 10}`)
      )
      assert.deepEqual(
        many.map(([row]) => row?.n),
        Array.from({ length: 40 }, (_, i) => (i % 10) * 2)
      )
      await assert.rejects(sql`insert into lines values (${0}, ${0})`, { code: '23505' })
      await assert.rejects(sql`select * from nowhere`, { code: '42P01' })
      await sql.begin(async (inside) => {
        await inside`update lines set n = n + 1`
        const [row] = await inside`select n from lines where id = 3`
        assert.equal(row?.n, 7)
      })
      const stream = await sql`copy lines from stdin`.writable()
      await new Promise<void>((resolve, reject) => {
        stream.on('finish', resolve)
        stream.on('error', reject)
        stream.end('100\t1\n101\t2\n')
      })
      assert.equal((await sql`/* pgherd:primary */ select count(*)::int as n from lines where id >= 100`)[0]?.n, 2)
    } finally {
      await sql.end()
    }
  })

  /** Sends all at once behind a login; gives the letters of what comes, errors with their SQLSTATE, up to so many Z. */
  function talk(sent: Buffer, readies: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(served.port, '127.0.0.1', () => socket.write(STARTUP))
      let all = Buffer.alloc(0)
      let isIn = false
      const late = setTimeout(() => reject(new Error(`only ${letters(all)} came`)), 8000)
      const letters = (bytes: Buffer): string => {
        let found = ''
        for (let at = 0; at + 5 <= bytes.length; at += 1 + bytes.readInt32BE(at + 1)) {
          const letter = String.fromCharCode(bytes[at] as number)
          const body = bytes.toString('latin1', at + 5, at + 1 + bytes.readInt32BE(at + 1))
          const code = letter === 'E' ? (/\0C([^\0]+)/.exec(body)?.[1] ?? '') : letter === 'Z' ? body : ''
          found += `${letter}${code} `
        }
        return found.trim()
      }
      socket.on('error', reject)
      socket.on('data', (bytes: Buffer) => {
        all = Buffer.concat([all, bytes])
        const said = letters(all)
        if (!isIn) {
          if (!/ZI$/.test(said)) return
          isIn = true
          all = Buffer.alloc(0)
          socket.write(sent)
        } else if ((said.match(/Z[ITE]/g) ?? []).length >= readies) {
          clearTimeout(late)
          socket.destroy()
          resolve(said)
        }
      })
    })
  }

  const ROWS: readonly (readonly [string, Buffer, string])[] = [
    [
      'units for different servers, answers in order',
      Buffer.concat([
        ...[parse('', 'select 1'), bind(''), EXECUTE, SYNC],
        ...[parse('', 'insert into lines values (500, 1)'), bind(''), EXECUTE, SYNC],
        ...[parse('', 'select 2'), bind(''), EXECUTE, SYNC],
      ]),
      '1 2 D C ZI 1 2 C ZI 1 2 D C ZI',
    ],
    [
      'an error skips to its Sync, and no further',
      Buffer.concat([
        ...[parse('', 'select 1/0'), bind(''), EXECUTE, parse('', 'select 1'), bind(''), EXECUTE, SYNC],
        ...[parse('', 'select 2'), bind(''), EXECUTE, SYNC],
      ]),
      '1 E22012 ZI 1 2 D C ZI',
    ],
    [
      'a statement without a name lives across Syncs',
      Buffer.concat([parse('', 'select 1'), SYNC, bind(''), EXECUTE, SYNC, bind(''), EXECUTE, SYNC]),
      '1 ZI 2 D C ZI 2 D C ZI',
    ],
    [
      'a name that is in use, one that is not known, and a Parse that fails',
      Buffer.concat([
        ...[parse('a', 'select 1'), SYNC, parse('a', 'select 2'), SYNC, bind('b'), EXECUTE, SYNC],
        ...[parse('c', 'selec'), SYNC, parse('c', 'select 3'), bind('c'), EXECUTE, SYNC],
      ]),
      '1 ZI E42P05 ZI E26000 ZI E42601 ZI 1 2 D C ZI',
    ],
    [
      'a name that is closed may be given again',
      Buffer.concat([
        ...[parse('a', 'select 1'), SYNC, message('C', 'Sa\0'), parse('a', 'select 2'), bind('a'), EXECUTE, SYNC],
        ...[message('C', 'Sa\0'), SYNC, message('C', 'Sunknown\0'), SYNC],
      ]),
      '1 ZI 3 1 2 D C ZI 3 ZI 3 ZI',
    ],
    [
      'BEGIN and the first statement in one unit',
      Buffer.concat([
        ...[parse('', 'BEGIN'), bind(''), EXECUTE, parse('', 'select 1'), bind(''), EXECUTE, SYNC],
        ...[parse('', 'COMMIT'), bind(''), EXECUTE, SYNC],
      ]),
      '1 2 C 1 2 D C ZT 1 2 C ZI',
    ],
    ['a Sync alone', Buffer.concat([SYNC, SYNC]), 'ZI ZI'],
    [
      'Flush: what was asked before is answered before Sync',
      Buffer.concat([parse('f', 'select 1'), message('D', 'Sf\0'), message('H', ''), bind('f'), EXECUTE, SYNC]),
      '1 t T 2 D C ZI',
    ],
    [
      'several statements in a simple query',
      message('Q', 'select 1; select 2; select 1/0; select 3\0'),
      'T D C T D C E22012 ZI',
    ],
    ['an empty query', message('Q', '\0'), 'I ZI'],
    [
      'behind an error a simple query is passed over as well, up to a Sync',
      Buffer.concat([
        ...[parse('', 'selec'), message('Q', 'select 1\0'), parse('u', 'select 2'), message('Q', 'select 3\0'), SYNC],
        ...[bind('u'), SYNC, message('Q', 'select 4\0')],
      ]),
      'E42601 ZI E26000 ZI T D C ZI',
    ],
    [
      'what is passed over behind a Flush is not answered either',
      Buffer.concat([parse('', 'selec'), message('H', ''), bind(''), EXECUTE, message('H', ''), bind(''), SYNC]),
      'E42601 ZI',
    ],
    [
      'a statement without a name is none of another client of the same connection',
      Buffer.concat([bind(''), EXECUTE, SYNC, message('D', 'S\0'), SYNC, bind('pgherd_1'), SYNC]),
      'E26000 ZI E26000 ZI E26000 ZI',
    ],
    [
      'behind a Flush a statement goes where it must, and no Sync is answered twice',
      Buffer.concat([
        ...[
          parse('v', 'select 1'),
          message('D', 'Sv\0'),
          message('H', ''),
          message('Q', 'insert into lines values (600, 1)\0'),
        ],
        ...[parse('w', 'select 2'), message('H', ''), SYNC, bind('w'), EXECUTE, SYNC],
        ...[parse('x', 'selec'), message('H', ''), bind('v'), EXECUTE, SYNC, bind('v'), EXECUTE, SYNC],
      ]),
      '1 t T C ZI 1 ZI 2 D C ZI E42601 ZI 2 D C ZI',
    ],
    [
      'in a failed transaction names are refused as all else',
      Buffer.concat([
        ...[message('Q', 'begin\0'), message('Q', 'select 1/0\0'), parse('t', 'select 1'), SYNC],
        ...[message('Q', 'rollback\0'), parse('t', 'select 1'), bind('t'), EXECUTE, SYNC],
      ]),
      'C ZT E22012 ZE E25P02 ZE C ZI 1 2 D C ZI',
    ],
  ]
  for (const [what, sent, said] of ROWS) {
    it(what, async () => {
      const readies = (said.match(/Z/g) ?? []).length
      assert.equal((await talk(sent, readies)).replaceAll(/ ?[NS](?= |$)/g, ''), said)
    })
  }

  it('all of them again, byte by byte', async () => {
    const client = net.connect(served.port, '127.0.0.1')
    client.on('error', () => {})
    let said = ''
    client.on('data', (bytes: Buffer) => {
      said += bytes.toString('latin1')
    })
    const bytes = Buffer.concat([
      STARTUP,
      parse('z', 'select 7 as seven'),
      bind('z'),
      EXECUTE,
      SYNC,
      message('Q', 'select 8\0'),
    ])
    for (const byte of bytes) client.write(Buffer.from([byte]))
    const deadline = Date.now() + 8000
    while (!/SELECT 1\0Z[\s\S]*SELECT 1\0Z/.test(said) && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 20))
    client.destroy()
    assert.match(said, /SELECT 1\0Z[\s\S]*SELECT 1\0Z/)
  })
})
