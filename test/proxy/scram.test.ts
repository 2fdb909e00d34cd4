// SCRAM-SHA-256: the exchange of RFC 7677, both sides against each other, the keys of a client for another server, and what is refused.

import assert from 'node:assert/strict'
import {
  answer,
  challenge,
  judge,
  keysOf,
  madeUp,
  open,
  type Verifier,
  verifierIn,
} from '../../src/proxy/auth/scram.js'

const BINDING = Buffer.alloc(32, 9)

interface Played {
  readonly kind: string
  readonly clientKey?: Buffer
}

function play(verifier: Verifier, secret: Parameters<typeof answer>[2], binding: Buffer | null = null): Played {
  const opening = open(
    binding === null ? ['SCRAM-SHA-256'] : ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'],
    binding,
    'clientnonce'
  )
  assert.ok(opening !== null)
  const asked = challenge(opening.mechanism, opening.text, verifier, 'servernonce', binding)
  if (asked.kind === 'fault') return asked
  const said = answer(opening, asked.text, secret, binding)
  if (said.kind === 'fault') return said
  const proved = judge(asked.exchange, said.text)
  if (proved.kind === 'proved') assert.equal(proved.signature, said.signature)
  return proved
}

describe('SCRAM-SHA-256 of the proxy', () => {
  const { verifier } = keysOf('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'), 4096)

  it('is that of RFC 7677, section 3', () => {
    const nonce = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
    const asked = challenge('SCRAM-SHA-256', 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO', verifier, nonce, null)
    assert.ok(asked.kind === 'challenge')
    assert.equal(asked.text, `r=rOprNGfwEbeRWgbNEkqO${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`)
    const final = `c=biws,r=rOprNGfwEbeRWgbNEkqO${nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`
    const proved = judge(asked.exchange, final)
    assert.ok(proved.kind === 'proved')
    assert.equal(proved.signature, 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')
  })
  it('a password that is right, with and without a binding', () => {
    for (const binding of [null, BINDING]) {
      assert.equal(play(verifier, { kind: 'password', password: 'pencil' }, binding).kind, 'proved')
    }
  })
  it('a wrong password is refused', () =>
    assert.equal(play(verifier, { kind: 'password', password: 'pen' }).kind, 'refused'))
  it('the keys of a proof log in to another server with the same verifier', () => {
    const proved = play(verifier, { kind: 'password', password: 'pencil' })
    const clientKey = proved.clientKey ?? Buffer.alloc(0)
    assert.equal(play(verifier, { kind: 'keys', clientKey, verifier }).kind, 'proved')
    const other = keysOf('pencil', Buffer.from('another salt'), 4096).verifier
    assert.equal(play(other, { kind: 'keys', clientKey, verifier }).kind, 'fault')
  })
  it('a user that does not exist is asked as any other, with the same salt each time', () => {
    const secret = Buffer.alloc(32, 1)
    assert.deepEqual(madeUp('x', secret).salt, madeUp('x', secret).salt)
    assert.notDeepEqual(madeUp('x', secret).salt, madeUp('y', secret).salt)
    assert.equal(play(madeUp('x', secret), { kind: 'password', password: 'x' }).kind, 'refused')
  })
  it('reads a secret of pg_authid', () => {
    const text = `SCRAM-SHA-256$4096:${verifier.salt.toString('base64')}$${verifier.storedKey.toString('base64')}:${verifier.serverKey.toString('base64')}`
    assert.deepEqual(verifierIn(text), verifier)
    for (const wrong of ['', 'md5abc', text.slice(0, -3), text.replace('4096', 'x')])
      assert.equal(verifierIn(wrong), null)
  })
  const FIRST: readonly (readonly [string, string, string, Buffer | null])[] = [
    ['nothing', 'SCRAM-SHA-256', '', null],
    ['no nonce', 'SCRAM-SHA-256', 'n,,n=a', null],
    ['an extension that must be understood', 'SCRAM-SHA-256', 'n,,m=x,n=a,r=b', null],
    ['a binding without PLUS', 'SCRAM-SHA-256', 'p=tls-server-end-point,,n=,r=b', BINDING],
    ['PLUS without a binding', 'SCRAM-SHA-256-PLUS', 'n,,n=,r=b', BINDING],
    ['another binding', 'SCRAM-SHA-256-PLUS', 'p=tls-unique,,n=,r=b', BINDING],
    ['a downgrade', 'SCRAM-SHA-256', 'y,,n=,r=b', BINDING],
  ]
  for (const [what, mechanism, text, binding] of FIRST) {
    it(`first message with ${what}: refused`, () =>
      assert.equal(challenge(mechanism, text, verifier, 'n', binding).kind, 'fault'))
  }
  const LAST = ['', 'c=biws', 'c=biws,r=bn', 'c=biws,r=other,p=AAAA', 'c=AAAA,r=bn,p=AAAA', 'c=biws,r=bn,p=AAAA']
  for (const text of LAST) {
    it(`final message '${text}': refused`, () => {
      const asked = challenge('SCRAM-SHA-256', 'n,,n=,r=b', verifier, 'n', null)
      assert.ok(asked.kind === 'challenge')
      assert.equal(judge(asked.exchange, text).kind, 'fault')
    })
  }
})
