// Internal queries: texts in, rows of texts out. They are sent past Client#query, so that tracers, which wrap that to record what the
// application does, do not record them: a probe every 300 ms would be a trace every 300 ms. Decides nothing.

import type { Client, Submittable } from 'pg'

/** The values as the server wrote them: parsers that the application has set do not reach them. */
export type Row = Readonly<Record<string, string | null>>

export type Told = (error: unknown, rows: readonly Row[]) => void
/** The rows of each statement in the text that has any. */
type ToldAll = (error: unknown, answers: readonly (readonly Row[])[]) => void

/** What pg has and its published types do not name. The native client has no `connection`. */
interface Internals {
  readonly connection?: object
  readonly _queryQueue: Submittable[]
  readonly _queryable: boolean
  readonly _ending: boolean
  _connect?(callback: (error: unknown) => void): void
  _pulseQueryQueue(): void
}

interface RowDescription {
  readonly fields: readonly { readonly name: string }[]
}

interface DataRow {
  /** Bytes of the message. */
  readonly length: number
  readonly fields: readonly (string | null)[]
}

/** The catalogue of a hundred thousand functions is shorter. */
const MOST_BYTES = 64 << 20
/** What an object of a row takes, and each of its values beside its text. */
const [ROW_BYTES, VALUE_BYTES] = [64, 32]
const TOO_LONG = 'the answer to a question of pgherd is longer than any server needs'

/** What pg's client tells of a text under way: pg's own Query, without what is not needed here. */
class Question {
  readonly text: string
  readonly #told: ToldAll
  #names: readonly string[] = []
  readonly #answers: Row[][] = []
  #bytes = 0

  constructor(text: string, told: ToldAll) {
    this.text = text
    this.#told = told
  }

  submit(connection: { query(text: string): void }): void {
    connection.query(this.text)
  }

  handleRowDescription({ fields }: RowDescription): void {
    this.#names = fields.map(({ name }) => name)
    this.#answers.push([])
  }

  handleDataRow({ fields, length }: DataRow): void {
    this.#bytes += length + ROW_BYTES + fields.length * VALUE_BYTES
    // What is no answer of PostgreSQL's is not kept, and not answered for.
    if (this.#bytes > MOST_BYTES) this.#answers.length = 0
    this.#answers.at(-1)?.push(Object.fromEntries(this.#names.map((name, index) => [name, fields[index] ?? null])))
  }

  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}

  handleReadyForQuery(): void {
    if (this.#bytes > MOST_BYTES) this.#told(new Error(TOO_LONG), [])
    else this.#told(null, this.#answers)
  }

  handleError(error: unknown): void {
    this.#told(error, [])
  }
}

/** What a question that is prepared needs of pg's connection. */
interface Wire {
  readonly stream: { cork(): void; uncork(): void }
  readonly parsedStatements: Record<string, string>
  readonly submittedNamedStatements: Record<string, string>
  parse(statement: { name: string; text: string }): void
  bind(portal: { statement: string }): void
  describe(what: { type: 'P'; name: string }): void
  execute(portal: object): void
  sync(): void
}

/** A question that its session keeps prepared under a name. pg tells of what the server has parsed by `name` and `text`. */
class Prepared extends Question {
  readonly name: string

  constructor(name: string, text: string, told: ToldAll) {
    super(text, told)
    this.name = name
  }

  override submit(connection: object): void {
    const { name, text } = this
    const wire = connection as Wire
    wire.stream.cork()
    try {
      if (wire.parsedStatements[name] === undefined && wire.submittedNamedStatements[name] === undefined) {
        wire.submittedNamedStatements[name] = text
        wire.parse({ name, text })
      }
      wire.bind({ statement: name })
      wire.describe({ type: 'P', name: '' })
      wire.execute({})
      wire.sync()
    } finally {
      wire.stream.uncork()
    }
  }
}

/** A question in a session that is the application's, and idle: what the application sends next waits behind it. */
class Aside extends Question {}

/** As `_activeQuery` of a client: what is under way there is a question aside. */
export function isAside(query: unknown): boolean {
  return query instanceof Aside
}

/** A question aside is under way on this client. */
export function isAskedAside(client: Client): boolean {
  return isAside((client as unknown as { readonly _activeQuery?: unknown })._activeQuery)
}

/** The session ends: a question aside that is under way there hears of it, and is under way no more. */
export function giveUpAside(client: Client, error: unknown): void {
  const internals = client as unknown as { _activeQuery?: unknown }
  const { _activeQuery: active } = internals
  if (!(active instanceof Aside)) return
  internals._activeQuery = null
  active.handleError(error)
}

/** As answered(), on an idle session of the application; it changes nothing there. */
export function answeredAside(client: Client, text: string): Promise<readonly Row[]> {
  return new Promise((resolve, reject) => {
    const told: Told = (error, rows) => (error ? reject(error) : resolve(rows))
    put(client, new Aside(text, lastOf(told)), told)
  })
}

/** As answered(), on a connection of pgherd's own that leads to the server itself: the question stays prepared in its session. */
export function answeredPrepared(client: Client, text: string): Promise<readonly Row[]> {
  return new Promise((resolve, reject) => {
    const told: Told = (error, rows) => (error ? reject(error) : resolve(rows))
    put(client, new Prepared(nameOf(text), text, lastOf(told)), told)
  })
}

const names = new Map<string, string>()

/** The texts are pgherd's own, and few. */
function nameOf(text: string): string {
  let name = names.get(text)
  if (name === undefined) {
    name = `pgherd ${names.size + 1}`
    names.set(text, name)
  }
  return name
}

/** As client.connect(). */
export function connected(client: Client): Promise<unknown> {
  const internals = client as unknown as Internals
  if (internals._connect === undefined) return client.connect()
  return new Promise((resolve, reject) => internals._connect?.((error) => (error ? reject(error) : resolve(undefined))))
}

/**
 * As client.query() with a callback, in its turn behind what was sent before. Of several statements in a text, the rows of the
 * last. `told` is called as soon as the answer is there, before what was sent next is answered.
 */
export function ask(client: Client, text: string, told: Told): void {
  const internals = client as unknown as Internals
  if (internals.connection === undefined) {
    client.query<Row>(text, (error, result) => told(error ?? null, error ? [] : result.rows))
    return
  }
  put(client, new Question(text, lastOf(told)), told)
}

/** Nothing could be asked, as the connection had ended: news of neither its server nor of the application. */
export class Unasked extends Error {
  constructor() {
    super('the connection has ended')
  }
}

/** Of several statements in a text, the rows of the last. */
function lastOf(told: Told): ConstructorParameters<typeof Question>[1] {
  return (error, answers) => told(error, answers.at(-1) ?? [])
}

function put(client: Client, question: Question, told: Told): void {
  const internals = client as unknown as Internals
  if (!internals._queryable || internals._ending) {
    process.nextTick(told, new Unasked(), [])
    return
  }
  submit(internals, question)
}

function submit(internals: Internals, question: Question): void {
  internals._queryQueue.push(question as unknown as Submittable)
  internals._pulseQueryQueue()
}

export function answered(client: Client, text: string): Promise<readonly Row[]> {
  return new Promise((resolve, reject) => ask(client, text, (error, rows) => (error ? reject(error) : resolve(rows))))
}

/**
 * The rows of each text, asked in one transaction that only reads, in one trip. `settings` (`set local ...`) end with it, so that
 * a session which a pooler shares with others is left as it was. READ COMMITTED is said, since a standby refuses a role's default
 * of SERIALIZABLE (0A000). After an error the transaction is rolled back before anything else is sent.
 */
export function answeredInside(
  client: Client,
  settings: readonly string[],
  texts: readonly string[]
): Promise<readonly (readonly Row[])[]> {
  const internals = client as unknown as Internals
  const text = [BEGIN, ...settings, ...texts, 'commit'].join('; ')
  return new Promise((resolve, reject) => {
    const rollBack = (error: unknown) => {
      // A connection that has ended has rolled back.
      if (!internals._queryable || internals._ending) return reject(error)
      internals._queryQueue.unshift(new Question('rollback', () => reject(error)) as unknown as Submittable)
    }
    submit(internals, new Question(text, (error, answers) => (error ? rollBack(error) : resolve(answers))))
  })
}

const BEGIN = 'begin isolation level read committed read only'
