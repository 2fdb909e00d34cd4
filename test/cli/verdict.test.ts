// Is the cluster well, and what helps if not: a table of pictures.

import assert from 'node:assert/strict'
import { isSettled } from '../../src/cli/settled.js'
import { verdictOf } from '../../src/cli/verdict.js'
import type { TopologySnapshot } from '../../src/index.js'
import { downOf, nodeOf, picture, primaryOf } from '../support/snapshots.js'

const stale = nodeOf('c', { refused: 'it has not replayed what this read must see' })
const denied = (name: string) => ({
  ...downOf(name, 'password authentication failed for user "app"', '28P01'),
  state: 'unknown' as const,
})
const none = { systemIdentifier: null, epoch: 0 }

const PICTURES: readonly (readonly [string, TopologySnapshot, boolean, RegExp])[] = [
  [
    'all is well',
    picture([primaryOf('a'), nodeOf('b'), nodeOf('c')]),
    true,
    /^Writable\. 2 of 2 replicas serve reads\.$/,
  ],
  [
    'one replica is behind',
    picture([primaryOf('a'), nodeOf('b'), stale]),
    true,
    /^Writable\. 1 of 2 replicas serves reads\.$/,
  ],
  ['all replicas are behind', picture([primaryOf('a'), stale]), true, /^Writable\. None of 1 replica serves reads\.$/],
  ['a single server', picture([primaryOf('a')]), true, /^Writable\. No replica is known\.$/],
  [
    'a replica is down',
    picture([primaryOf('a'), downOf('b', 'gone', null)]),
    true,
    /^Writable\. No replica is known\.$/,
  ],
  [
    'a server that was found is not named',
    picture([primaryOf('a'), nodeOf('b', { state: 'unknown', origin: 'shown', foundBy: 'replication' })]),
    true,
    /^Writable\. No replica is known\. b:5432 was found beside the named hosts and not asked\. .* --discovery replication here\.$/,
  ],
  [
    'replicas that were found listen elsewhere',
    picture([
      primaryOf('a'),
      ...['b', 'c'].map((name) => ({ ...downOf(name, 'gone', null), origin: 'discovered' as const })),
    ]),
    true,
    /^Writable\. No replica is known\. b:5432 and c:5432 were found in pg_stat_replication, .*published ports.* name the servers/,
  ],
  [
    'the same beside a replica that serves',
    picture([primaryOf('a'), nodeOf('b'), { ...downOf('c', 'gone', null), origin: 'discovered' }]),
    true,
    /^Writable\. 1 of 1 replica serves reads\.$/,
  ],
  [
    'somebody else claims',
    picture([primaryOf('a'), nodeOf('b', { state: 'claimant' })]),
    true,
    /^Writable\. .* b:5432 claims to be the primary as well: stop it, or make it a replica\.$/,
  ],
  ['only replicas', picture([nodeOf('a'), nodeOf('b')]), false, /no server is the primary\. Promote a replica/],
  [
    'the primary does not answer',
    picture([downOf('a', 'no answer to a probe in time', null), nodeOf('b')]),
    false,
    /no server is the primary\. Promote a replica, or .*, or see what is wrong with a:5432\.$/,
  ],
  [
    'contested',
    picture([nodeOf('a', { state: 'claimant' }), nodeOf('b', { state: 'claimant' })], {
      contested: ['a:5432', 'b:5432'],
    }),
    false,
    /^Not writable: a:5432 and b:5432 both claim to be the primary, and nothing decides\. Stop the wrong one/,
  ],
  [
    'the primary is suspect',
    picture([primaryOf('a', { suspect: true, refused: 'suspected', failure: 'read ECONNRESET' }), nodeOf('b')]),
    false,
    /^Not writable now: the primary is suspect: read ECONNRESET\. 1 of 1 replica serves reads\.$/,
  ],
  [
    'nobody listens',
    picture([downOf('a', 'connect ECONNREFUSED a', 'ECONNREFUSED')], none),
    false,
    /could be reached: connect ECONNREFUSED a\. Nothing listens/,
  ],
  [
    'a wrong password',
    picture([denied('a'), denied('b')], none),
    false,
    /let us in: password .* user "app"\. Check user and password/,
  ],
  [
    'a wrong password where anybody answers',
    picture([downOf('a', 'connect ECONNREFUSED a', 'ECONNREFUSED'), denied('b')], none),
    false,
    /let us in: password authentication failed/,
  ],
  [
    'no password',
    picture([downOf('a', 'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string', null)], none),
    false,
    /let us in: SASL: .* a string\. The server asks for a password and none was given: set PGPASSWORD/,
  ],
  [
    'an empty password',
    picture([downOf('a', 'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a non-empty string', null)], none),
    false,
    /let us in: SASL: .* a non-empty string\. The server asks for a password and none was given: set PGPASSWORD/,
  ],
  [
    'no password, and another server is not there',
    picture(
      [
        downOf('a', 'connect ECONNREFUSED a', 'ECONNREFUSED'),
        downOf('b', 'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string', null),
      ],
      none
    ),
    false,
    /let us in: SASL: .* a string\. The server asks for a password and none was given/,
  ],
  [
    'a certificate of an authority that is not known',
    picture([downOf('a', 'unable to verify the first certificate', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE')], none),
    false,
    /let us in: unable to verify .*sslrootcert/,
  ],
  [
    'silence',
    picture([downOf('a', 'no answer to a probe in time', null)], none),
    false,
    /could be reached: no answer .*firewalls/,
  ],
  [
    'no TLS there',
    picture([downOf('a', 'The server does not support SSL connections', null)], none),
    false,
    /let us in: .*sslmode/,
  ],
  [
    'no such name',
    picture([], { ...none, blind: { 'dns x:5432': 'getaddrinfo ENOTFOUND x' } }),
    false,
    /^No server was found: getaddrinfo ENOTFOUND x\. Check the name/,
  ],
  [
    'two clusters',
    picture([nodeOf('a', { state: 'claimant' }), nodeOf('b', { systemIdentifier: '9' })], none),
    false,
    /^Not one cluster: .* a:5432 has 7 and b:5432 has 9\. Name the hosts of one cluster\.$/,
  ],
]

describe('the verdict on a cluster', () => {
  for (const [name, snapshot, healthy, pattern] of PICTURES) {
    it(name, () => {
      const verdict = verdictOf(snapshot)
      assert.equal(verdict.healthy, healthy)
      assert.match([verdict.text, verdict.advice].filter((part) => part !== null).join(' '), pattern)
    })
  }
  it('wanted replicas count', () => {
    const snapshot = picture([primaryOf('a'), nodeOf('b'), stale])
    assert.equal(verdictOf(snapshot, 1).healthy, true)
    const { healthy, text } = verdictOf(snapshot, 2)
    assert.deepEqual([healthy, text], [false, 'Writable, but 1 of 2 replicas serves reads, and 2 are wanted.'])
    assert.equal(verdictOf(picture([primaryOf('a')]), 1).text, 'Writable, but no replica is known, and 1 is wanted.')
  })
})

describe('looking around is over', () => {
  const seeds = ['a', 'b'].map((host) => ({ host, port: 5432, lookup: false }))
  const unasked = nodeOf('b', { state: 'unknown', refused: 'it has not answered a probe yet' })
  const settled = (snapshot: TopologySnapshot, millis = 10, of = seeds) => isSettled(snapshot, of, millis)

  it('when everybody has answered and replicas are proven', () => {
    assert.ok(settled(picture([primaryOf('a'), nodeOf('b')])))
    assert.ok(!settled(picture([primaryOf('a')])), 'b is not known yet')
    assert.ok(!settled(picture([primaryOf('a'), unasked]), 60_000))
  })
  it('when replicas have had time to be proven', () => {
    const snapshot = picture([primaryOf('a'), nodeOf('b', { refused: 'unproven' })])
    assert.deepEqual([settled(snapshot), settled(snapshot, 1500)], [false, true])
  })
  it('when all have failed, at once', () => {
    assert.ok(settled(picture([downOf('a', 'gone', null), denied('b')])))
  })
  it('not while a suspect has not answered', () => {
    assert.ok(!settled(picture([primaryOf('a', { suspect: true }), nodeOf('b')]), 60_000))
  })
  it('without those that are only listed', () => {
    const listed = nodeOf('c', { state: 'unknown', origin: 'shown', refused: 'listed' })
    assert.ok(settled(picture([primaryOf('a'), nodeOf('b'), listed])))
  })
  it('when each name has led somewhere, or is known not to', () => {
    const named = [{ host: 'db', port: 5432, lookup: true }]
    assert.ok(!settled(picture([]), 60_000, named))
    assert.ok(settled(picture([primaryOf('10.0.0.1', { foundBy: 'dns', name: 'db' })]), 10, named))
    assert.ok(settled(picture([], { blind: { 'dns db:5432': 'ENOTFOUND' } }), 10, named))
  })
})
