// A processor, a sampler or a meter may throw. That never changes a statement's outcome, and never stops the loop that reports.
// OpenTelemetry's own place for such errors is `diag`.

import { diag } from '@opentelemetry/api'

/** Returns what `work` returns, or `otherwise` if it throws. */
export function unharmed<T>(work: () => T, otherwise: T): T {
  try {
    return work()
  } catch (error) {
    // Not thrown on: `diag` tells the application, and what is reported has happened all the same.
    diag.error('pgherd: could not tell', error)
    return otherwise
  }
}
