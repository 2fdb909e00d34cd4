// Several processes that serve the same clients: shares of limits, numbers of clients, tables and metrics of all as one.

import assert from 'node:assert/strict'
import { merged } from '../../src/proxy/console/merge.js'
import { folded, type Metric, textOf } from '../../src/proxy/metrics.js'
import { shareOf, type Worker } from '../../src/proxy/options.js'
import { Ids, MOST_WORKERS, Pids, slotOf } from '../../src/proxy/pids.js'

const workersOf = (of: number, before = 0): Worker[] => Array.from({ length: of }, (_, slot) => ({ slot, of, before }))

describe('workers of a proxy', () => {
  for (const [total, of, shares] of [
    [20, 2, [10, 10]],
    [7, 3, [3, 2, 2]],
    [1, 3, [1, 1, 1]],
  ] as const) {
    it(`share ${total} among ${of}`, () => {
      assert.deepEqual(
        workersOf(of).map((worker) => shareOf(total, worker)),
        shares
      )
    })
  }
  it('a limit is whole where there is one process', () => assert.equal(shareOf(7, null), 7))

  it('give numbers that say whose they are', () => {
    for (const worker of workersOf(MOST_WORKERS)) {
      const pids = new Pids(worker)
      for (let i = 0; i < 50; i++) {
        const pid = pids.free()
        assert.ok(pid > 0 && pid <= 0x7fffffff, String(pid))
        assert.equal(slotOf(pid), worker.slot)
        assert.equal(pids.isForeign(pid), false)
        assert.equal(new Pids({ ...worker, slot: (worker.slot + 1) % MOST_WORKERS }).isForeign(pid), true)
      }
    }
    assert.equal(new Pids(null).isForeign(0x7fffffff), false)
    // What a client sends may be any number.
    for (const pid of [-1, -(2 ** 31), 0]) assert.ok(slotOf(pid) >= 0 && slotOf(pid) < MOST_WORKERS)
  })

  it('give ids that no other gives, and no successor gives again', () => {
    const all = [...workersOf(3), ...workersOf(3, 1), null].slice(0, 6).flatMap((worker) =>
      Array.from(
        { length: 100 },
        (
          (ids) => () =>
            ids.next()
        )(new Ids(worker))
      )
    )
    assert.equal(new Set(all).size, all.length)
    const alone = new Ids(null)
    assert.deepEqual([alone.next(), alone.next()], [1, 2])
  })
})

describe('the tables of several workers', () => {
  it('rows about the same thing are summed', () => {
    const columns = ['database', 'total_query_count', 'total_received', 'total_sent', 'total_client_login_count']
    const rows = merged('stats', [
      { columns, rows: [['all', '1', '10', '100', '2']] },
      { columns, rows: [['all', '2', '20', '200', '3']] },
    ])
    assert.deepEqual(rows, { columns, rows: [['all', '3', '30', '300', '5']] })
  })
  it('of a wait the longest counts, in seconds and microseconds together', () => {
    const columns = ['database', 'user', 'cl_active', 'maxwait', 'maxwait_us', 'node']
    const table = (...rows: string[][]) => ({ columns, rows })
    const all = [
      table(['a', 'u', '1', '2', '5', 'n'], ['b', 'u', '1', '0', '0', 'n']),
      table(['a', 'u', '2', '1', '900', 'n']),
      table(['a', 'u', '4', '2', '7', 'm']),
    ]
    assert.deepEqual(merged('pools', all).rows, [
      ['a', 'u', '3', '2', '5', 'n'],
      ['b', 'u', '1', '0', '0', 'n'],
      ['a', 'u', '4', '2', '7', 'm'],
    ])
  })
  it('of a lag the greatest counts, and none is less than any', () => {
    const columns = ['node', 'lag_ms', 'epoch', 'in_flight', 'last_failure']
    const all = [
      { columns, rows: [['n', null, '1', '1', null]] },
      { columns, rows: [['n', '9', '3', '2', 'lost']] },
      { columns, rows: [['n', '10', '2', '0', 'other']] },
    ]
    assert.deepEqual(merged('nodes', all).rows, [['n', '10', '3', '3', 'lost']])
  })
  it('clients stay apart', () => {
    const columns = ['id', 'user']
    const all = [
      ['1', 'u'],
      ['2', 'u'],
    ].map((row) => ({ columns, rows: [row] }))
    assert.deepEqual(merged('clients', all).rows, [
      ['1', 'u'],
      ['2', 'u'],
    ])
  })
  it('of nothing there is nothing', () => assert.deepEqual(merged('pools', []), { columns: [], rows: [] }))
})

describe('the metrics of several workers', () => {
  it('are folded by their labels', () => {
    const of = (clients: number, lag: number, isUp: number): readonly Metric[] => [
      { name: 'clients', type: 'gauge', help: 'h', fold: 'sum', samples: [{ value: clients }] },
      { name: 'lag', type: 'gauge', help: 'h', fold: 'greatest', samples: [{ labels: { node: 'a' }, value: lag }] },
      { name: 'up', type: 'gauge', help: 'h', fold: 'least', samples: [{ labels: { node: 'a' }, value: isUp }] },
    ]
    const text = textOf(folded([of(1, 0.5, 1), of(2, Infinity, 0)]))
    assert.match(text, /^clients 3$/m)
    assert.match(text, /^lag\{node="a"\} \+Inf$/m)
    assert.match(text, /^up\{node="a"\} 0$/m)
    assert.equal(text.match(/# TYPE/g)?.length, 3)
  })
})
