// tls-server-end-point (RFC 5929): the hash of a certificate that both ends of a TLS connection can name. Reads the DER of the
// certificate as far as its signature algorithm.

import { createHash } from 'node:crypto'

/** Object identifiers of signature algorithms, in DER -> the hash of each. MD5 and SHA-1 are replaced by SHA-256. */
const HASHES: Readonly<Record<string, string>> = {
  '2a864886f70d010104': 'sha256', // md5WithRSAEncryption
  '2a864886f70d010105': 'sha256', // sha1WithRSAEncryption
  '2a864886f70d01010b': 'sha256',
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
  '2a8648ce3d040302': 'sha256', // ecdsa-with-SHA256
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
}

interface Element {
  readonly from: number
  readonly to: number
}

/** The contents of the DER element at `place`. */
function elementAt(der: Buffer, place: number): Element | null {
  const first = der[place + 1]
  if (first === undefined) return null
  if (first < 0x80) return { from: place + 2, to: place + 2 + first }
  const bytes = first & 0x7f
  if (bytes === 0 || bytes > 4 || place + 2 + bytes > der.length) return null
  const length = der.readUIntBE(place + 2, bytes)
  return { from: place + 2 + bytes, to: place + 2 + bytes + length }
}

/** Null: its algorithm has no such hash (Ed25519, RSA-PSS), so no binding is offered. */
export function bindingOf(der: Buffer): Buffer | null {
  // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { algorithm OBJECT IDENTIFIER, ... }, ... }
  const certificate = elementAt(der, 0)
  const body = certificate === null ? null : elementAt(der, certificate.from)
  const algorithm = body === null ? null : elementAt(der, body.to)
  const identifier = algorithm === null ? null : elementAt(der, algorithm.from)
  if (algorithm === null || identifier === null || der[algorithm.from] !== 0x06) return null
  const hash = HASHES[der.toString('hex', identifier.from, identifier.to)]
  return hash === undefined ? null : createHash(hash).update(der).digest()
}
