// Runs each test of the contract against each subject, as far as the table of exceptions lets it.

import assert from 'node:assert/strict'
import { EXCEPTIONS, type Exception } from './exceptions.js'
import { cleanUp, SUBJECTS, type Subject, watchWarnings } from './pools.js'
import { startServers } from './servers.js'

type Body = (subject: Subject) => Promise<void> | void
/** One body for all; or the control's and pgherd's own, where it deliberately does better. */
export type Test = Body | { readonly pg: Body; readonly better: Body }
export type Tests = Readonly<Record<string, Test>>

export function contract(area: string, tests: Tests): void {
  const exceptions = EXCEPTIONS.filter((each) => each.area === area)
  assertListed(tests, exceptions)
  for (const subject of SUBJECTS) {
    describe(`contract: ${area}: ${subject.id}`, () => {
      before(startServers)
      beforeEach(watchWarnings)
      afterEach(cleanUp)
      for (const [title, test] of Object.entries(tests)) {
        const exception = exceptions.find((each) => each.test === title && each.subjects.includes(subject.id))
        define(subject, title, test, exception)
      }
    })
  }
}

/** The table names tests that exist, and every test with two bodies. */
function assertListed(tests: Tests, exceptions: readonly Exception[]): void {
  for (const { test } of exceptions) assert.ok(Object.hasOwn(tests, test), `no test '${test}'`)
  for (const [title, test] of Object.entries(tests)) {
    const listed = exceptions.some((each) => each.test === title && each.kind === 'BETTER')
    assert.equal(typeof test !== 'function', listed, `${title}: what is better stands in the table, with a body`)
  }
}

function define(subject: Subject, title: string, test: Test, exception: Exception | undefined): void {
  const { pg, better } = typeof test === 'function' ? { pg: test, better: test } : test
  switch (exception?.kind) {
    case 'PER NODE':
      return
    case 'BETTER':
      it(`${title} [BETTER: ${exception.reason}]`, () => better(subject))
      return
    case 'DIFFERS':
      it(`${title} [DIFFERS: ${exception.reason}]`, () => assertFails(() => pg(subject)))
      return
    default:
      it(title, () => pg(subject))
  }
}

async function assertFails(body: () => Promise<void> | void): Promise<void> {
  const failed = await (async () => body())().then(
    () => false,
    () => true
  )
  assert.ok(failed, 'it does not differ any more: take it off the table')
}
