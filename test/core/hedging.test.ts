// Which reads may be sent to a second replica, and how many: the rule, its budget, and the texts.

import assert from 'node:assert/strict'
import { HedgeBudget, mayHedge } from '../../src/core/cluster/hedging.js'
import type { Node, NodeState } from '../../src/core/cluster/node.js'
import type { Chosen } from '../../src/core/cluster/selection.js'
import type { Topology } from '../../src/core/cluster/topology.js'
import { callsOwn, type DefinitionRow, define, doubted, UNREAD } from '../../src/core/sql/definitions.js'

const NOW = 5000
const HEDGE_MILLIS = 50

type Few = { kind?: NodeState['kind']; suspect?: boolean; draining?: boolean; downAt?: number }

function nodeOf(key: string, { kind = 'replica', suspect = false, draining = false, downAt = 0 }: Few): Node {
  const state = { kind, since: { mono: downAt, wall: downAt } }
  return { key, state, suspect: suspect ? {} : null, draining } as unknown as Node
}

const USUAL: Readonly<Record<string, Few>> = { a: { kind: 'primary' }, b: {}, c: {} }

function decided(
  nodes: Readonly<Record<string, Few>>,
  first: Partial<Chosen> = {},
  suspectedAt = -Infinity,
  primary = true
) {
  const all = new Map(Object.entries(nodes).map(([key, few]) => [key, nodeOf(key, few)]))
  const topology = { primary: primary ? 'a' : null, nodes: all } as unknown as Topology
  const chosen = { node: all.get('b'), reason: 'proven', ...first } as Chosen
  return mayHedge(topology, chosen, { now: NOW, hedgeMillis: HEDGE_MILLIS, suspectedAt })
}

describe('a read may go to a second replica', () => {
  const rows: readonly (readonly [string, boolean, () => boolean])[] = [
    ['a primary and two replicas that are well', true, () => decided(USUAL)],
    ['a read without a bound', true, () => decided(USUAL, { reason: 'unbounded' })],
    ['a guess: the replica is yet to prove itself', false, () => decided(USUAL, { reason: 'guarded' })],
    ['no proof, as no primary was ever seen', false, () => decided(USUAL, { reason: 'unproven' })],
    [
      'it runs on the primary',
      false,
      () => decided(USUAL, { node: nodeOf('a', { kind: 'primary' }), reason: 'primary' }),
    ],
    ['no primary', false, () => decided(USUAL, {}, -Infinity, false)],
    ['one replica', false, () => decided({ a: { kind: 'primary' }, b: {} })],
    ['the other replica is drained', false, () => decided({ ...USUAL, c: { draining: true } })],
    ['the replica itself is suspect', false, () => decided({ ...USUAL, b: { suspect: true } })],
    ['the other replica is suspect', false, () => decided({ ...USUAL, d: {}, c: { suspect: true } })],
    ['the primary is suspect', false, () => decided({ ...USUAL, a: { kind: 'primary', suspect: true } })],
    ['a node was suspect just now', false, () => decided(USUAL, {}, NOW - HEDGE_MILLIS + 1)],
    ['a node was suspect so long ago', true, () => decided(USUAL, {}, NOW - HEDGE_MILLIS)],
    ['a third replica has just gone down', false, () => decided({ ...USUAL, d: { kind: 'down', downAt: NOW - 1 } })],
    [
      'a third replica has been down for long',
      true,
      () => decided({ ...USUAL, d: { kind: 'down', downAt: NOW - HEDGE_MILLIS } }),
    ],
  ]
  for (const [title, may, of] of rows) it(`${may ? 'yes' : 'no'}: ${title}`, () => assert.equal(of(), may))
})

describe('the budget of second reads', () => {
  const hedges = (reads: number, budget: HedgeBudget) => {
    let taken = 0
    for (let i = 0; i < reads; i++) {
      budget.earn()
      if (budget.take()) taken++
    }
    return taken
  }

  it('is 5 % of the reads, each of which wants one', () => {
    assert.equal(hedges(10_000, new HedgeBudget()), 500)
  })

  it('is empty at the beginning', () => {
    assert.equal(hedges(19, new HedgeBudget()), 0)
    assert.equal(hedges(20, new HedgeBudget()), 1)
  })

  it('saves up for ten, however many reads were quick', () => {
    const budget = new HedgeBudget()
    for (let i = 0; i < 10_000; i++) budget.earn()
    let taken = 0
    while (budget.take()) taken++
    assert.equal(taken, 10)
  })

  it('gets back what was not sent, and no more than it may hold', () => {
    const budget = new HedgeBudget()
    for (let i = 0; i < 200; i++) budget.earn()
    for (let i = 0; i < 10; i++) assert.ok(budget.take())
    budget.giveBack()
    assert.deepEqual([budget.take(), budget.take()], [true, false])
    for (let i = 0; i < 20; i++) budget.giveBack()
    let taken = 0
    while (budget.take()) taken++
    assert.equal(taken, 10)
  })
})

describe('a text calls functions of the application', () => {
  const row = (kind: DefinitionRow['kind'], name: string, text: string | null = null): DefinitionRow => ({
    kind,
    name,
    text,
  })
  const definitions = define([
    row('function', 'price'),
    row('function', 'Odd Name'),
    row('volatile', 'touch'),
    row('view', 'plain', 'select value from figures'),
    row('view', 'priced', 'select price(value) from figures'),
    row('view', 'nested', 'select * from priced'),
    row('view', 'circle', 'select * from circle'),
    row('policy', 'guarded', 'price(value) > 1'),
  ])
  const calls: Readonly<Record<string, boolean>> = {
    'select value from figures where id = $1': false,
    'select count(*), lower(name) from figures': false,
    "select 'price(1)' as text": false,
    'select * from plain': false,
    'select * from circle': false,
    'select price(value) from figures': true,
    'select app.price(value) from figures': true,
    'select PRICE (value) from figures': true,
    'select "price"(value) from figures': true,
    'select "Odd Name"(value) from figures': true,
    'select figures.price from figures': true,
    'select touch()': true,
    'select * from priced': true,
    'select * from nested': true,
    'select * from guarded': true,
  }
  for (const [sql, does] of Object.entries(calls)) {
    it(`${does ? 'yes' : 'no'}: ${sql}`, () => assert.equal(callsOwn(sql, definitions, new Set()), does))
  }

  it('no: those that replicaSafeFunctions names, directly or in a view', () => {
    const vouched = new Set(['price'])
    assert.equal(callsOwn('select price(value) from figures', definitions, vouched), false)
    assert.equal(callsOwn('select * from nested', definitions, vouched), false)
    assert.equal(callsOwn('select price(value), touch() from figures', definitions, vouched), true)
  })

  it('yes, perhaps: while the catalogue is not known', () => {
    for (const unknown of [UNREAD, doubted(definitions)]) assert.equal(callsOwn('select 1', unknown, new Set()), true)
  })
})
