// Whoever looks on may throw: a processor, a sampler, a meter. That is never a statement's outcome, nor does it stop the loop
// whose news is told. OpenTelemetry's own place for such errors is `diag`.

import { diag } from '@opentelemetry/api'

/** What `work` gives, else `otherwise`. */
export function unharmed<T>(work: () => T, otherwise: T): T {
  try {
    return work()
  } catch (error) {
    // Swallowed: who registered it hears of it there, and what is told of was done all the same.
    diag.error('pgherd: could not tell', error)
    return otherwise
  }
}
