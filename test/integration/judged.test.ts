import assert from 'node:assert/strict'
import pg from 'pg'
import { classify } from '../../src/core/sql/classify.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { generate, type Statement, seeded } from '../support/grammar.js'
import { mutate } from '../support/grammar-mutations.js'
import { DDL } from '../support/grammar-rules.js'

const SEED = Number(process.env.PGHERD_TEST_SEED ?? 20261122)
const STATEMENTS = 10_000
const CONNECTIONS = 2
const IN_FLIGHT = 64

/** How a server says that this must not be done in a transaction that only reads, or during recovery. */
const REFUSALS: readonly string[] = ['25006', '0A000', '55000', 'XX000']

/** Of each statement, in order: the code of its error, or '' if it ran. */
type Outcomes = readonly string[]

describe('classify: what it calls a read, judged by PostgreSQL', () => {
  let cluster: Cluster
  let statements: readonly Statement[]
  const clients: pg.Client[] = []

  before(async () => {
    cluster = await startCluster({ replicas: 1, settings: { statement_timeout: '10s', jit: false } })
    const random = seeded(SEED)
    statements = generate(SEED, STATEMENTS, cluster.major)
      .map((statement) => (random.chance(0.5) ? mutate(statement, random, cluster.major) : statement))
      .filter(({ kind, sql }) => kind === 'read' || classify(sql) === 'read')
    await (await cluster.connect(0)).query(DDL)
    await cluster.caughtUp(1, 0)
  })
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.end()))
  })
  after(() => cluster.destroy())

  /** Sends the texts without waiting for each other's answers, beyond so many at once. */
  const run = async (index: number, texts: readonly string[]): Promise<Outcomes> => {
    const outcomes: string[] = []
    let next = 0
    const work = async (client: pg.Client) => {
      while (next < texts.length) {
        const from = next
        next += IN_FLIGHT
        await Promise.all(
          texts.slice(from, next).map(async (text, at) => {
            outcomes[from + at] = await outcomeOf(client, text)
          })
        )
      }
    }
    await Promise.all(Array.from({ length: CONNECTIONS }, async () => work(await connected(index))))
    return outcomes
  }

  const connected = async (index: number) => {
    const client = new pg.Client({ ...cluster.config(index), pipeline: true })
    clients.push(client)
    await client.connect()
    return client
  }

  const judge = (outcomes: Outcomes) => {
    const read = statements.map(({ sql }) => classify(sql) === 'read')
    const refused = statements.flatMap(({ sql }, at) =>
      read[at] && REFUSALS.includes(outcomes[at] ?? 'no answer') ? [`${outcomes[at]} ${JSON.stringify(sql)}`] : []
    )
    assert.ok(read.filter(Boolean).length > STATEMENTS / 2)
    assert.ok(
      refused.length === 0,
      `${refused.length} refused, PGHERD_TEST_SEED=${SEED}\n${refused.slice(0, 10).join('\n')}`
    )
  }

  it('runs in a transaction of the primary that only reads, and hardly any of what is made fails', async function () {
    const outcomes = await run(0, statements.map(inBlock))
    judge(outcomes)
    const made = statements.flatMap(({ kind, sql }, at) => (kind === 'read' ? [[outcomes[at], sql]] : []))
    const failed = made.filter(([code]) => code !== '')
    const shown = failed.slice(0, 10).map(([code, sql]) => `${code} ${JSON.stringify(sql)}`)
    const share = `${((100 * failed.length) / made.length).toFixed(2)} % of ${made.length}`
    assert.ok(failed.length < 0.03 * made.length, `${share}, PGHERD_TEST_SEED=${SEED}\n${shown.join('\n')}`)
    if (this.test) this.test.title += `: ${share}`
  })

  it('runs in a transaction of the replica that only reads', async () => {
    judge(await run(1, statements.map(inBlock)))
  })

  it('runs on the replica by itself', async () => {
    judge(
      await run(
        1,
        statements.map(({ sql }) => sql)
      )
    )
  })
})

/** On a line of its own, since it may end in a comment; the block before it is ended, whatever became of it. */
const inBlock = ({ sql }: Statement) => `rollback; begin read only;\n${sql}`

/** Nobody looks at the rows. */
const UNREAD = { getTypeParser: () => (value: unknown) => value }

async function outcomeOf(client: pg.Client, text: string): Promise<string> {
  try {
    await client.query({ text, rowMode: 'array', types: UNREAD })
    return ''
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code !== undefined) return error.code
    throw error
  }
}
