// pg's own result of a statement that the server has not seen, for its tag. And whether something would notice that it was not sent.

import type { Client } from 'pg'
import { typesOf } from './turn.js'
import type { ClientClass } from './weak-auth.js'

/** pg's Query, as it takes the messages of a server. */
interface Query {
  readonly _results: unknown
  handleCommandComplete(message: { readonly text: string }, connection: unknown): void
}

type QueryClass = new (config: object, values: undefined, callback: () => void) => Query

interface Result {
  _types?: unknown
  rows: unknown[]
  fields: unknown[]
}

/** One for each tag and class of results, to be copied. */
const made = new WeakMap<QueryClass, Map<string, Result>>()

/** As if the server had answered with this tag: `BEGIN`, `COMMIT`, ...; null: this copy of pg shows no way to make one. */
export function resultOf(client: Client, ClientOf: ClientClass, tag: string): { readonly value: unknown } | null {
  const { Query } = ClientOf as { readonly Query?: QueryClass }
  if (typeof Query !== 'function' || typeof Query.prototype?.handleCommandComplete !== 'function') return null
  let tags = made.get(Query)
  if (tags === undefined) {
    tags = new Map()
    made.set(Query, tags)
  }
  let model = tags.get(tag)
  if (model === undefined) {
    model = modelOf(Query, tag)
    tags.set(tag, model)
  }
  const result: Result = Object.assign(Object.create(Object.getPrototypeOf(model)), model, { rows: [], fields: [] })
  result._types = typesOf(client)
  return { value: result }
}

function modelOf(Query: QueryClass, tag: string): Result {
  const query = new Query({ text: '' }, undefined, () => {})
  query.handleCommandComplete({ text: tag }, undefined)
  return query._results as Result
}

/** pg's own words in its query(): what wraps it, a tracer, has others. */
const OWN = 'Client was passed a null or undefined query'

const plain = new WeakMap<object, boolean>()

/** Something has wrapped query() of this client or of its class: it sees each statement as it is sent. `Base`: the class that ours is of. */
export function isWrapped(client: Client, Base: ClientClass): boolean {
  if (Object.hasOwn(client, 'query')) return true
  const { query } = Base.prototype
  let isPlain = plain.get(query)
  if (isPlain === undefined) {
    isPlain = Function.prototype.toString.call(query).includes(OWN)
    plain.set(query, isPlain)
  }
  return !isPlain
}
