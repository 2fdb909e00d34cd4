import assert from 'node:assert/strict'
import { classify } from '../../src/core/sql/classify.js'
import { generate, KNOWN, type Statement, seeded } from '../support/grammar.js'
import { mutate } from '../support/grammar-mutations.js'
import { QUERIES } from '../support/grammar-queries.js'
import { EXPRESSIONS } from '../support/grammar-rules.js'
import { WRITES } from '../support/grammar-writes.js'

const SEED = Number(process.env.PGHERD_TEST_SEED ?? 20261121)
const STATEMENTS = 20_000
const MUTATIONS = 2
/** Of the reads, at most: each costs its user a trip to the primary. Of these none has to. */
const LOST = 0.0005

interface Judged {
  readonly danger: readonly Statement[]
  readonly lost: readonly Statement[]
  readonly reads: number
}

function judged(statements: Iterable<Statement>): Judged {
  const danger: Statement[] = []
  const lost: Statement[] = []
  let reads = 0
  for (const statement of statements) {
    const read = intent(statement) === 'read'
    if (statement.kind === 'read') reads++
    if (read && statement.kind === 'write') danger.push(statement)
    if (!read && statement.kind === 'read') lost.push(statement)
  }
  return { danger, lost, reads }
}

/** One by one, as they would fill the memory. */
function* mutations(statements: readonly Statement[]): Iterable<Statement> {
  const random = seeded(SEED + 1)
  for (const statement of statements) {
    for (let left = MUTATIONS; left > 0; left--) yield mutate(statement, random)
  }
}

function intent(statement: Statement): string {
  try {
    return classify(statement.sql)
  } catch (error) {
    throw new Error(`it threw at ${shown([statement])}`, { cause: error })
  }
}

function shown(statements: readonly Statement[]): string {
  const lines = statements.slice(0, 10).map(({ kind, sql }) => `${kind}: ${JSON.stringify(sql)}`)
  return `PGHERD_TEST_SEED=${SEED}\n${lines.join('\n')}`
}

const percent = (part: number, whole: number) => `${((100 * part) / whole).toFixed(2)} % of ${whole}`

describe('classify: statements made by a grammar', () => {
  let made: readonly Statement[]
  let asMade: Judged
  let dressed: Judged

  before(() => {
    made = generate(SEED, STATEMENTS)
    asMade = judged(made)
    dressed = judged(mutations(made))
  })

  const judge = (name: string, of: () => Judged) => {
    it(`${name}: no write is taken for a read`, () => {
      const { danger } = of()
      assert.ok(danger.length === 0, `${danger.length} are, ${shown(danger)}`)
    })

    it(`${name}: hardly a read is taken for something else`, function () {
      const { lost, reads } = of()
      const share = percent(lost.length, reads)
      assert.ok(lost.length <= LOST * reads, `${share}, ${shown(lost)}`)
      if (this.test) this.test.title += `: ${share}`
    })
  }
  judge('as they are made', () => asMade)
  judge('in other clothes', () => dressed)

  it('are many, of both kinds, and different', () => {
    assert.ok(asMade.reads > 0.5 * STATEMENTS && asMade.reads < 0.7 * STATEMENTS, String(asMade.reads))
    const different = new Set(made.map(({ sql }) => sql)).size
    assert.ok(different > 0.75 * STATEMENTS, String(different))
  })

  it('are the same for the same seed', () => {
    assert.deepEqual(generate(SEED, 50), made.slice(0, 50))
    assert.notDeepEqual(generate(SEED + 1, 50), made.slice(0, 50))
  })

  it('leave out nothing but productions that are there', () => {
    const productions = Object.values({ ...EXPRESSIONS, ...QUERIES, ...WRITES }).flat()
    for (const known of KNOWN) assert.ok(productions.includes(known), known)
  })
})
