import assert from 'node:assert/strict'
import { classify } from '../../src/core/classify.js'
import { generate, KNOWN, type Random, type Statement, seeded } from '../support/grammar.js'
import { mutate } from '../support/grammar-mutations.js'

const SEED = Number(process.env.PGHERD_TEST_SEED ?? 20261121)
const STATEMENTS = 20_000
const MUTATIONS = 2

/** What is wrong with it, if something is: a write taken for a read, or a text the classifier throws at. */
function wronged({ sql, kind }: Statement): 'danger' | 'lost' | undefined {
  let intent: string
  try {
    intent = classify(sql)
  } catch {
    return 'danger'
  }
  if (kind === 'write') return intent === 'read' ? 'danger' : undefined
  return intent === 'read' ? undefined : 'lost'
}

function shown(statements: readonly Statement[]): string {
  const lines = statements.slice(0, 10).map(({ kind, sql }) => `${kind}: ${JSON.stringify(sql)}`)
  return `PGHERD_TEST_SEED=${SEED}\n${lines.join('\n')}`
}

describe('classify: statements made by a grammar', () => {
  const made = generate(SEED, STATEMENTS)
  const random: Random = seeded(SEED + 1)
  const judge = (name: string, statements: readonly Statement[]) => {
    it(`${name}: no write is a read`, () => {
      const danger = statements.filter((statement) => wronged(statement) === 'danger')
      assert.ok(danger.length === 0, `${danger.length} of ${statements.length}, ${shown(danger)}`)
    })

    it(`${name}: hardly a read is lost`, function () {
      const reads = statements.filter(({ kind }) => kind === 'read')
      const lost = reads.filter((statement) => wronged(statement) === 'lost')
      const share = lost.length / reads.length
      const percent = `${(100 * share).toFixed(2)} %`
      assert.ok(share <= 0.02, `${percent} of ${reads.length}, ${shown(lost)}`)
      if (this.test) this.test.title += ` (${percent} of ${reads.length})`
    })
  }
  judge('as made', made)
  judge(
    'in other clothes',
    made.flatMap((statement) => Array.from({ length: MUTATIONS }, () => mutate(statement, random)))
  )

  it('reads and writes are both there in number, and none is left out', () => {
    const reads = made.filter(({ kind }) => kind === 'read').length
    assert.ok(reads > STATEMENTS / 2 && reads < STATEMENTS * 0.7, String(reads))
    assert.ok(new Set(made.map(({ sql }) => sql)).size > STATEMENTS * 0.8)
    assert.deepEqual(KNOWN, [])
  })
})
