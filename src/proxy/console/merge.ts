// Tables of several processes that serve the same clients -> one table: rows about the same thing become one. Values in, values out.

import type { Rows } from '../session/local.js'
import type { Shown } from './commands.js'

interface Rule {
  readonly sums?: readonly string[]
  /** The greatest value, in the first column where they differ, with the others of its row. */
  readonly greatest?: readonly (readonly string[])[]
  /** What is there. */
  readonly any?: readonly string[]
}

/** What is in no list of its table tells one thing from another. Of a table that is not named here every row stays. */
const RULES: Readonly<Partial<Record<Shown, Rule>>> = {
  nodes: { sums: ['in_flight'], greatest: [['epoch'], ['lag_ms'], ['lag_bytes']], any: ['refused', 'last_failure'] },
  pools: {
    sums: [
      ...['cl_active', 'cl_waiting', 'cl_active_cancel_req', 'cl_waiting_cancel_req', 'sv_active', 'sv_active_cancel'],
      ...['sv_being_canceled', 'sv_idle', 'sv_used', 'sv_tested', 'sv_login'],
    ],
    greatest: [['maxwait', 'maxwait_us']],
  },
  databases: { sums: ['current_connections'] },
  users: { sums: ['current_client_connections'] },
  routes: { sums: ['count'] },
  stats: { sums: ['total_query_count', 'total_received', 'total_sent', 'total_client_login_count'] },
  lists: { sums: ['items'] },
}

type Row = readonly (string | null)[]

export function merged(what: Shown, all: readonly Rows[]): Rows {
  const columns = all[0]?.columns ?? []
  const rows = all.flatMap((each) => each.rows)
  const rule = RULES[what]
  if (rule === undefined) return { columns, rows }
  const { sums = [], greatest = [], any = [] } = rule
  const folded = new Set([...sums, ...greatest.flat(), ...any])
  const found = new Map<string, Row>()
  for (const row of rows) {
    const key = JSON.stringify(row.filter((_, i) => !folded.has(columns[i] ?? '')))
    const before = found.get(key)
    found.set(key, before === undefined ? row : both(before, row, columns, { sums, greatest, any }))
  }
  return { columns, rows: [...found.values()] }
}

function both(a: Row, b: Row, columns: readonly string[], { sums, greatest, any }: Required<Rule>): Row {
  const row = [...a]
  const placesOf = (names: readonly string[]) => names.map((name) => columns.indexOf(name)).filter((i) => i >= 0)
  for (const i of placesOf(sums)) row[i] = String(Number(a[i] ?? 0) + Number(b[i] ?? 0))
  for (const i of placesOf(any)) row[i] = a[i] ?? b[i] ?? null
  for (const names of greatest) {
    const places = placesOf(names)
    if (isGreater(places, b, a)) for (const place of places) row[place] = b[place] ?? null
  }
  return row
}

function isGreater(places: readonly number[], a: Row, b: Row): boolean {
  for (const place of places) {
    const [one, other] = [a[place] ?? null, b[place] ?? null]
    if (one === other) continue
    return other === null || (one !== null && Number(one) > Number(other))
  }
  return false
}

/** So many values are in the column. */
export function distinct({ columns, rows }: Rows, column: string): number {
  const place = columns.indexOf(column)
  return new Set(rows.map((row) => row[place])).size
}
