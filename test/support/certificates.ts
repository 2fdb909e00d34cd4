/**
 * A certificate authority and a server certificate for TLS tests, made with node:crypto alone: a fresh machine may have
 * no openssl program. The few shapes of DER (X.690) and X.509 (RFC 5280) they need, and no more; it reads nothing.
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIPv4 } from 'node:net'

/** All in PEM. */
export interface Certificates {
  readonly authority: string
  readonly certificate: string
  readonly key: string
}

const DAY_MILLIS = 86_400_000

export function makeCertificates(names: readonly string[], addresses: readonly string[]): Certificates {
  const authority = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const server = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const issuer = 'pgherd test authority'
  const signed = (subject: string, key: KeyObject, extensions: Buffer[]) =>
    pem(certificate({ issuer, subject, key, extensions }, authority.privateKey))
  return {
    authority: signed(issuer, authority.publicKey, [
      extension(OID.basicConstraints, sequence(TRUE), 'critical'),
      extension(OID.keyUsage, bits(0b0000_0110), 'critical'), // keyCertSign, cRLSign
    ]),
    certificate: signed('pgherd test server', server.publicKey, [
      extension(OID.extendedKeyUsage, sequence(oid(OID.serverAuth))),
      extension(OID.subjectAltName, sequence(...alternatives(names, addresses))),
    ]),
    key: server.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

interface Contents {
  readonly issuer: string
  readonly subject: string
  readonly key: KeyObject
  readonly extensions: readonly Buffer[]
}

/** Certificate of RFC 5280, 4.1. */
function certificate({ issuer, subject, key, extensions }: Contents, signer: KeyObject): Buffer {
  const algorithm = sequence(oid(OID.ecdsaWithSha256))
  const contents = sequence(
    tagged(0, integer(Buffer.from([2]))), // version 3
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    name(issuer),
    sequence(time(Date.now() - DAY_MILLIS), time(Date.now() + 30 * DAY_MILLIS)),
    name(subject),
    key.export({ type: 'spki', format: 'der' }),
    tagged(3, sequence(...extensions))
  )
  return sequence(contents, algorithm, bitString(sign('sha256', contents, signer)))
}

const OID = {
  commonName: '2.5.4.3',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
} as const

function alternatives(names: readonly string[], addresses: readonly string[]): Buffer[] {
  return [...names.map((each) => der(0x82, Buffer.from(each))), ...addresses.map((each) => der(0x87, octets(each)))]
}

/** The 4 or 16 bytes of an address. */
function octets(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  const groups = (part: string | undefined) => (part ? part.split(':') : [])
  const [head, tail] = address.split('::').map(groups)
  const zeros = Array.from({ length: 8 - (head?.length ?? 0) - (tail?.length ?? 0) }, () => '0')
  return Buffer.from(
    [...(head ?? []), ...zeros, ...(tail ?? [])].map((group) => group.padStart(4, '0')).join(''),
    'hex'
  )
}

function extension(id: string, value: Buffer, ...critical: 'critical'[]): Buffer {
  return sequence(oid(id), ...critical.map(() => TRUE), der(0x04, value))
}

function name(common: string): Buffer {
  return sequence(der(0x31, sequence(oid(OID.commonName), der(0x0c, Buffer.from(common)))))
}

/** UTCTime: YYMMDDHHMMSSZ. */
function time(millis: number): Buffer {
  const digits = new Date(millis).toISOString().replace(/\D/g, '')
  return der(0x17, Buffer.from(`${digits.slice(2, 14)}Z`))
}

const TRUE = der(0x01, Buffer.from([0xff]))

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts))
}

function tagged(number: number, value: Buffer): Buffer {
  return der(0xa0 + number, value)
}

function integer(bytes: Buffer): Buffer {
  return der(0x02, bytes)
}

function bitString(bytes: Buffer): Buffer {
  return der(0x03, Buffer.concat([Buffer.from([0]), bytes]))
}

/** Named bits in one byte, of which DER drops the trailing zeros. */
function bits(byte: number): Buffer {
  return der(0x03, Buffer.from([31 - Math.clz32(byte & -byte), byte]))
}

/** The first two arcs share a byte; the others are in base 128, all bytes but the last with the high bit. */
function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  return der(0x06, Buffer.from([40 * first + second, ...rest.flatMap((arc) => base128(arc))]))
}

function base128(arc: number): number[] {
  const low = [arc & 0x7f]
  for (let high = arc >> 7; high > 0; high >>= 7) low.unshift((high & 0x7f) | 0x80)
  return low
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
