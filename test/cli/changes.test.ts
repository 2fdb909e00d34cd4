// Two pictures, and the lines of a log between them.

import assert from 'node:assert/strict'
import { changesBetween, failoverText, present, Reads } from '../../src/cli/changes.js'
import type { NodeSnapshot, TopologySnapshot } from '../../src/index.js'
import { downOf, nodeOf, picture, primaryOf } from '../support/snapshots.js'

const lines = (before: TopologySnapshot, after: TopologySnapshot) =>
  changesBetween(before, after).map(({ node, text }) => [node, text].filter((part) => part !== null).join(' '))
const alone = (node: NodeSnapshot) => picture([primaryOf('a'), node])
const gone = downOf('a', 'connect ECONNREFUSED', 'ECONNREFUSED')

const STORIES: readonly (readonly [string, TopologySnapshot, TopologySnapshot, readonly string[]])[] = [
  ['nothing', alone(nodeOf('b')), alone(nodeOf('b', { lagMillis: 99, position: '0/4000000' })), []],
  [
    'a failover begins',
    picture([primaryOf('a'), nodeOf('b')]),
    picture([gone, nodeOf('b')]),
    ['a:5432 is down: connect ECONNREFUSED', 'there is no primary: writes wait'],
  ],
  [
    'a failover ends',
    picture([gone, nodeOf('b')]),
    picture([gone, primaryOf('b', { timeline: 2 })], { epoch: 2 }),
    ['b:5432 is the primary, timeline 2, epoch 2'],
  ],
  [
    'a node fails in another way',
    picture([gone]),
    picture([{ ...gone, failure: 'the database system is starting up' }]),
    ['a:5432 is down: the database system is starting up'],
  ],
  [
    'a suspicion',
    alone(nodeOf('b')),
    alone(nodeOf('b', { suspect: true, failure: 'read ECONNRESET' })),
    ['b:5432 is suspect: read ECONNRESET'],
  ],
  [
    'a suspicion ends',
    alone(nodeOf('b', { suspect: true, failure: 'read ECONNRESET' })),
    alone(nodeOf('b')),
    ['b:5432 has answered, and is suspect no more'],
  ],
  [
    'a node is found',
    picture([primaryOf('a')]),
    alone(nodeOf('b', { foundBy: 'dns', name: 'db' })),
    ['b:5432 was found (dns db)'],
  ],
  ['a node goes', alone(nodeOf('b')), picture([primaryOf('a')]), ['b:5432 is listed nowhere any more']],
  ['drain', alone(nodeOf('b')), alone(nodeOf('b', { draining: true })), ['b:5432 is left alone']],
  [
    'contested',
    picture([primaryOf('a'), nodeOf('b')]),
    picture([nodeOf('a', { state: 'claimant' }), nodeOf('b', { state: 'claimant' })], {
      contested: ['a:5432', 'b:5432'],
    }),
    [
      'a:5432 is refused as a primary, timeline 1',
      'b:5432 is refused as a primary, timeline 1',
      'no server takes writes: a:5432 and b:5432 claim to be the primary, and nothing decides',
    ],
  ],
]

describe('the log of changes', () => {
  for (const [name, before, after, expected] of STORIES) {
    it(name, () => assert.deepEqual(lines(before, after), expected))
  }
  it('begins with everybody as they are', () => {
    const found = present(picture([primaryOf('a'), nodeOf('b'), downOf('c', 'gone', null)]))
    assert.deepEqual(
      found.map(({ text, tone }) => [text, tone]),
      [
        ['is the primary, timeline 1', 'good'],
        ['is a replica, timeline 1', 'good'],
        ['is down: gone', 'bad'],
      ]
    )
  })
  it('tells how long a failover took', () => {
    const { node, text } = failoverText({ from: 'a:1', to: 'b:2', millis: 311.4 })
    assert.deepEqual([node, text], ['b:2', 'has taken over from a:1 after 312 ms'])
    assert.match(failoverText({ from: 'a:1', to: 'a:1', millis: 5 }).text, /^is back as the primary/)
  })
  it('a replica that is behind is news once it has lasted, and so is its return', () => {
    const reads = new Reads()
    const [fit, unfit] = [alone(nodeOf('b')), alone(nodeOf('b', { refused: 'it is behind' }))]
    const told: string[] = []
    const steps = [fit, unfit, fit, unfit, unfit, unfit, fit, fit, fit]
    steps.forEach((snapshot, i) => {
      for (const { text } of reads.note(snapshot, i * 600)) told.push(`${i} ${text}`)
    })
    assert.deepEqual(told, ['5 serves no reads: it is behind', '8 serves reads again'])
  })
})
