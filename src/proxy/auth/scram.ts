// SCRAM-SHA-256 (RFC 5802, RFC 7677) on both sides: what a server says to a client that logs in, and what a client says to a server.
// The proof of a client reveals its ClientKey, which logs in to every server that has the same verifier. Values in, values out; the
// nonces are arguments. https://www.postgresql.org/docs/current/sasl-authentication.html

import { createHash, createHmac, pbkdf2Sync, timingSafeEqual } from 'node:crypto'

export const SCRAM = 'SCRAM-SHA-256'
export const SCRAM_PLUS = 'SCRAM-SHA-256-PLUS'
const KEY_BYTES = 32
/** A server may ask for more work than is sane. */
const MOST_ITERATIONS = 1_000_000

/** What a server keeps of a password. */
export interface Verifier {
  readonly iterations: number
  readonly salt: Buffer
  readonly storedKey: Buffer
  readonly serverKey: Buffer
}

/** What logs in to a server: a password, or the keys that the proof of a client has revealed. */
export type Secret =
  | { readonly kind: 'password'; readonly password: string }
  | { readonly kind: 'keys'; readonly clientKey: Buffer; readonly verifier: Verifier }

const hmac = (key: Buffer, text: string | Buffer): Buffer => createHmac('sha256', key).update(text).digest()
const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest()

function xor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, i) => byte ^ (b[i] as number)))
}

/** `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, as pg_authid and a userlist have it; null: it is none. */
export function verifierIn(text: string): Verifier | null {
  const [, iterations, salt, stored, server] =
    /^SCRAM-SHA-256\$(\d{1,9}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)$/.exec(text) ?? []
  const decoded = [salt, stored, server].map((each) => Buffer.from(each ?? '', 'base64'))
  const [saltBytes, storedKey, serverKey] = decoded as [Buffer, Buffer, Buffer]
  if (storedKey.length !== KEY_BYTES || serverKey.length !== KEY_BYTES || saltBytes.length === 0) return null
  return { iterations: Number(iterations), salt: saltBytes, storedKey, serverKey }
}

interface Keys {
  readonly clientKey: Buffer
  readonly verifier: Verifier
}

/** Costs what PBKDF2 costs: the caller keeps the answer. */
export function keysOf(password: string, salt: Buffer, iterations: number): Keys {
  const salted = pbkdf2Sync(prepared(password), salt, iterations, KEY_BYTES, 'sha256')
  const clientKey = hmac(salted, 'Client Key')
  const serverKey = hmac(salted, 'Server Key')
  return { clientKey, verifier: { iterations, salt, storedKey: sha256(clientKey), serverKey } }
}

/** As pg: PostgreSQL takes a password that SASLprep forbids as it is; of the rest normalisation is what matters. */
function prepared(password: string): string {
  return password
    .replace(/[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/g, ' ')
    .replace(/\u00ad/g, '')
    .normalize('NFKC')
}

/** Of a user that is not known: the exchange goes on as with a known one, and fails in the end. The same user gets the same salt. */
export function madeUp(user: string, processSecret: Buffer): Verifier {
  const salt = hmac(processSecret, `salt ${user}`).subarray(0, 16)
  const storedKey = hmac(processSecret, `stored ${user}`)
  return { iterations: 4096, salt, storedKey, serverKey: hmac(processSecret, `server ${user}`) }
}

/** The certificate of the proxy as the client sees it; null: there is no TLS, or no such hash of it. */
export type Binding = Buffer | null

/** The answer to a client's first message. `fault`: it is not well formed, or a downgrade. */
export type Challenge =
  | { readonly kind: 'fault'; readonly text: string }
  | { readonly kind: 'challenge'; readonly text: string; readonly exchange: Exchange }

interface Exchange {
  readonly firstBare: string
  readonly serverFirst: string
  readonly nonce: string
  /** What `c=` of the final message must be. */
  readonly bound: string
  readonly verifier: Verifier
}

const bad = (text: string): { readonly kind: 'fault'; readonly text: string } => ({ kind: 'fault', text })

/** `mechanism`: what the client chose. `nonce`: fresh, in base64. */
export function challenge(
  mechanism: string,
  first: string,
  verifier: Verifier,
  nonce: string,
  binding: Binding
): Challenge {
  const [, gs2 = '', flag = '', bare = ''] = /^((y|n|p=[A-Za-z0-9.-]+),(?:a=[^,]*)?,)(.*)$/s.exec(first) ?? []
  if (gs2 === '') return bad('malformed SCRAM message')
  const plus = mechanism === SCRAM_PLUS
  if (flag.startsWith('p=') !== plus) return bad('malformed SCRAM message: channel binding and mechanism disagree')
  if (plus && (binding === null || flag !== 'p=tls-server-end-point'))
    return bad('unsupported SCRAM channel-binding type')
  // The client could have bound, and believes that the server could not: something between them says so.
  if (flag === 'y' && binding !== null) return bad('SCRAM channel binding negotiation error')
  const [, theirs] = /^n=[^,]*,r=([\x21-\x2b\x2d-\x7e]+)(?:,.*)?$/s.exec(bare) ?? []
  if (theirs === undefined) return bad('malformed SCRAM message')
  const full = theirs + nonce
  const serverFirst = `r=${full},s=${verifier.salt.toString('base64')},i=${verifier.iterations}`
  const header = Buffer.from(gs2, 'utf8')
  const bound = (plus && binding !== null ? Buffer.concat([header, binding]) : header).toString('base64')
  return {
    kind: 'challenge',
    text: serverFirst,
    exchange: { firstBare: bare, serverFirst, nonce: full, bound, verifier },
  }
}

/** The end of the exchange. refused: the proof is wrong. */
export type Proved =
  | { readonly kind: 'fault'; readonly text: string }
  | { readonly kind: 'refused' }
  | { readonly kind: 'proved'; readonly signature: string; readonly clientKey: Buffer }

export function judge({ firstBare, serverFirst, nonce, bound, verifier }: Exchange, final: string): Proved {
  const [, without = '', binding, theirs, proof = ''] =
    /^(c=([^,]*),r=([^,]*)(?:,.*)?),p=([A-Za-z0-9+/=]+)$/s.exec(final) ?? []
  if (without === '') return bad('malformed SCRAM message')
  if (theirs !== nonce) return bad('invalid SCRAM response: nonce does not match')
  if (binding !== bound) return bad('SCRAM channel binding check failed')
  const given = Buffer.from(proof, 'base64')
  if (given.length !== KEY_BYTES) return bad('malformed SCRAM message: proof of another length')
  const message = `${firstBare},${serverFirst},${without}`
  const clientKey = xor(given, hmac(verifier.storedKey, message))
  if (!timingSafeEqual(sha256(clientKey), verifier.storedKey)) return { kind: 'refused' }
  return { kind: 'proved', signature: `v=${hmac(verifier.serverKey, message).toString('base64')}`, clientKey }
}

// As a client of a server.

export interface Opening {
  readonly text: string
  readonly mechanism: string
  readonly gs2: string
  readonly nonce: string
}

/** `offered`: the server's list. `binding`: of the server's certificate; null: there is none. Null: the server offers nothing usable. */
export function open(offered: readonly string[], binding: Binding, nonce: string): Opening | null {
  const plus = binding !== null && offered.includes(SCRAM_PLUS)
  if (!plus && !offered.includes(SCRAM)) return null
  const gs2 = plus ? 'p=tls-server-end-point,,' : binding !== null ? 'y,,' : 'n,,'
  return { text: `${gs2}n=,r=${nonce}`, mechanism: plus ? SCRAM_PLUS : SCRAM, gs2, nonce }
}

export type Answer =
  | { readonly kind: 'fault'; readonly text: string }
  /** `signature`: what the server must answer. */
  | { readonly kind: 'answer'; readonly text: string; readonly signature: string }

export function answer(
  { gs2, mechanism, nonce }: Opening,
  serverFirst: string,
  secret: Secret,
  binding: Binding
): Answer {
  const [, full, salt, count] = /^r=([^,]+),s=([A-Za-z0-9+/=]+),i=(\d{1,9})(?:,.*)?$/s.exec(serverFirst) ?? []
  if (full === undefined || salt === undefined) return bad('the server sent a malformed SCRAM message')
  if (!full.startsWith(nonce) || full.length <= nonce.length) return bad('the server sent a wrong SCRAM nonce')
  const iterations = Number(count)
  if (iterations < 1 || iterations > MOST_ITERATIONS) return bad(`the server asks for ${iterations} SCRAM iterations`)
  const keys = keysFor(secret, Buffer.from(salt, 'base64'), iterations)
  if (keys === null) return bad('the keys of this login are of another password than the server has')
  const header = Buffer.from(gs2, 'utf8')
  const data = mechanism === SCRAM_PLUS && binding !== null ? Buffer.concat([header, binding]) : header
  const without = `c=${data.toString('base64')},r=${full}`
  const message = `n=,r=${nonce},${serverFirst},${without}`
  const proof = xor(keys.clientKey, hmac(keys.verifier.storedKey, message)).toString('base64')
  const signature = `v=${hmac(keys.verifier.serverKey, message).toString('base64')}`
  return { kind: 'answer', text: `${without},p=${proof}`, signature }
}

function keysFor(secret: Secret, salt: Buffer, iterations: number): Keys | null {
  if (secret.kind === 'password') return keysOf(secret.password, salt, iterations)
  const { verifier } = secret
  return verifier.iterations === iterations && verifier.salt.equals(salt) ? secret : null
}

/** `md5` and 32 hex digits, as a userlist and old servers have it. */
export function md5Of(password: string, user: string): string {
  return `md5${createHash('md5')
    .update(password + user)
    .digest('hex')}`
}

export function md5Answer(stored: string, salt: Buffer): string {
  return `md5${createHash('md5').update(stored.slice(3)).update(salt).digest('hex')}`
}
