// Answers that need no server: what a transaction that has failed with its connection says, DEALLOCATE of a client's own names, an empty
// unit. A unit and a result -> the messages that a server would send.

import { closingOf } from '../../core/sql/effects.js'
import {
  BIND_COMPLETE,
  CLOSE_COMPLETE,
  commandComplete,
  dataRow,
  NO_DATA,
  NO_PARAMETERS,
  PARSE_COMPLETE,
  ready,
  rowDescription,
  type Status,
} from '../wire/write.js'
import { Expect, type Unit } from './unit.js'

export interface Rows {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly (string | null)[])[]
}

/** What each statement of the unit answers. */
export interface Result {
  readonly tag: string
  readonly rows?: Rows | undefined
  readonly notices?: readonly Buffer[]
}

function rowsOf({ rows }: Rows): Buffer[] {
  return rows.map(dataRow)
}

/** `status`: of the session behind it. */
export function answerTo({ asked }: Unit, result: Result | null, status: Status): readonly Buffer[] {
  const said: Buffer[] = []
  const { tag = '', rows, notices = [] } = result ?? {}
  const described = rows === undefined ? NO_DATA : rowDescription(rows.columns)
  for (const what of asked) {
    switch (what) {
      case Expect.parse:
        said.push(PARSE_COMPLETE)
        break
      case Expect.bind:
        said.push(BIND_COMPLETE)
        break
      case Expect.describeStatement:
        said.push(NO_PARAMETERS, described)
        break
      case Expect.describePortal:
        said.push(described)
        break
      case Expect.execute:
        said.push(...notices, ...(rows === undefined ? [] : rowsOf(rows)), commandComplete(tag))
        break
      case Expect.close:
        said.push(CLOSE_COMPLETE)
        break
      case Expect.sync:
        said.push(ready(status))
        break
      case Expect.all:
        if (rows !== undefined) said.push(described, ...rowsOf(rows))
        said.push(...notices, commandComplete(tag), ready(status))
        break
      default:
    }
  }
  return said
}

/** An error in its place: behind it all is skipped up to Sync. A unit without one is yet to be ended by it. */
export function refusalOf({ isComplete, isCut }: Unit, error: Buffer, status: Status): readonly Buffer[] {
  return isComplete && !isCut ? [error, ready(status)] : [error]
}

/** In a transaction that is gone with its connection. Null: the statement is refused. */
export function answerInLostBlock(unit: Unit): { readonly bytes: readonly Buffer[]; readonly ends: boolean } | null {
  const [text] = unit.texts
  if (!unit.needsServer) return { bytes: answerTo(unit, null, 'E'), ends: false }
  if (unit.texts.length !== 1 || text === undefined || closingOf(text) === null) return null
  // Also to a COMMIT: as a server says that it could only roll back.
  return { bytes: answerTo(unit, { tag: 'ROLLBACK' }, 'I'), ends: true }
}
