/**
 * A DNS server on a UDP port of 127.0.0.1 from the kernel: records A, AAAA and SRV, with their times to live. It can also fail, or say
 * nothing. Nothing here knows what is tested.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'

export interface ServiceRecord {
  readonly name: string
  readonly port: number
  readonly priority?: number
  readonly weight?: number
}

export interface Records {
  readonly a?: readonly string[]
  readonly aaaa?: readonly string[]
  readonly srv?: readonly ServiceRecord[]
  /** In seconds; 1 unless told. */
  readonly ttl?: number
}

const TYPES: ReadonlyMap<number, 'a' | 'aaaa' | 'srv'> = new Map([
  [1, 'a'],
  [28, 'aaaa'],
  [33, 'srv'],
])
const FAILURES = { servfail: 2, nxdomain: 3, refused: 5 } as const

export interface DnsServer {
  /** As Node's setServers() takes it. */
  readonly address: string
  /** Names in lower case. What has no records does not exist. */
  readonly zone: Map<string, Records>
  /** What every question gets. */
  mode: 'ok' | 'silent' | keyof typeof FAILURES
  /** `name type` of each question, in order. */
  readonly asked: readonly string[]
  close(): Promise<void>
}

export async function startDns(records: Readonly<Record<string, Records>> = {}): Promise<DnsServer> {
  const socket = createSocket('udp4')
  const zone = new Map(Object.entries(records))
  const asked: string[] = []
  const server = { zone, asked, mode: 'ok' as DnsServer['mode'] }
  socket.on('message', (question, { address, port }) => {
    const { name, type, end } = questionIn(question)
    asked.push(`${name} ${type ?? '?'}`)
    if (server.mode === 'silent') return
    const failure = server.mode === 'ok' ? (zone.has(name) ? 0 : FAILURES.nxdomain) : FAILURES[server.mode]
    const found = failure !== 0 || type === undefined ? [] : answersOf(zone.get(name) ?? {}, type)
    const head = Buffer.alloc(12)
    question.copy(head, 0, 0, 2)
    // A response, authoritative, to a question that may recurse.
    head.writeUInt16BE(0x8580 | failure, 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(found.length, 6)
    socket.send(Buffer.concat([head, question.subarray(12, end), ...found]), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return Object.assign(server, {
    address: `127.0.0.1:${socket.address().port}`,
    close: async () => {
      const closed = once(socket, 'close')
      socket.close()
      await closed
    },
  })
}

function questionIn(packet: Buffer): { name: string; type: 'a' | 'aaaa' | 'srv' | undefined; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = packet[at] ?? 0; length > 0; length = packet[at] ?? 0) {
    labels.push(packet.toString('latin1', at + 1, at + 1 + length))
    at += length + 1
  }
  return { name: labels.join('.').toLowerCase(), type: TYPES.get(packet.readUInt16BE(at + 1)), end: at + 5 }
}

function answersOf(records: Records, type: 'a' | 'aaaa' | 'srv'): Buffer[] {
  const [number = 0] = [...TYPES].find(([, name]) => name === type) ?? []
  const values: readonly Buffer[] =
    type === 'srv'
      ? (records.srv ?? []).map(serviceData)
      : type === 'a'
        ? (records.a ?? []).map((address) => Buffer.from(address.split('.').map(Number)))
        : (records.aaaa ?? []).map(bytesOfV6)
  return values.map((data) => {
    // The name is that of the question, at byte 12.
    const head = Buffer.from([0xc0, 12, 0, number, 0, 1, 0, 0, 0, 0, 0, 0])
    head.writeUInt32BE(records.ttl ?? 1, 6)
    head.writeUInt16BE(data.length, 10)
    return Buffer.concat([head, data])
  })
}

function serviceData({ name, port, priority = 0, weight = 0 }: ServiceRecord): Buffer {
  const numbers = Buffer.alloc(6)
  for (const [i, number] of [priority, weight, port].entries()) numbers.writeUInt16BE(number, i * 2)
  const labels = name.split('.').filter((label) => label !== '')
  return Buffer.concat([
    numbers,
    ...labels.map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
    Buffer.alloc(1),
  ])
}

function bytesOfV6(address: string): Buffer {
  const [head = '', tail = ''] = address.split('::')
  const words = (part: string) => part.split(':').filter((word) => word !== '')
  const missing = 8 - words(head).length - words(tail).length
  const all = [...words(head), ...Array<string>(missing).fill('0'), ...words(tail)]
  const bytes = Buffer.alloc(16)
  for (const [i, word] of all.entries()) bytes.writeUInt16BE(Number.parseInt(word, 16), i * 2)
  return bytes
}
