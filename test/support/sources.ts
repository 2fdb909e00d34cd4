// Who usually makes an error with this code, and where in PostgreSQL: for tests that have no server to make one.

import type { Source } from '../../src/core/cluster/failure.js'
import { SESSION, STATEMENT } from '../../src/core/cluster/sqlstates.js'

interface Coded {
  readonly code?: string
  readonly severity?: string
  readonly routine?: string
}

/** An SQLSTATE is what the core says with it: FATAL where that ends sessions, else an ERROR of the core's first routine for it. */
export function usualSource(error: unknown): Source {
  const { code, severity, routine } = (error ?? {}) as Coded
  if (typeof error !== 'object' || error === null) return 'unproven'
  if (code === undefined) return error instanceof TypeError ? 'unproven' : 'driver'
  if (code.startsWith('PGHERD_')) return 'pgherd'
  if (!/^\d|^[FHPX]\d|^XX/.test(code) || code.length !== 5) return 'socket'
  const said = severity ?? (Object.hasOwn(SESSION, code) ? 'FATAL' : 'ERROR')
  const known = ['ERROR', 'FATAL', 'PANIC'] as const
  const [usual] = STATEMENT[code]?.[code === '0A000' ? 2 : 0]?.routines ?? []
  return {
    code,
    severity: known.find((each) => each === said) ?? null,
    routine: routine ?? (code === '40001' ? null : (usual ?? null)),
    nested: false,
    begun: false,
    starting: false,
  }
}
