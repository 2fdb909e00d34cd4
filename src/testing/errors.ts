/**
 * What the caller of a test cluster can act on. All other errors say in words what was awaited, with the end of the server's log.
 */
export type TestingErrorCode =
  /** No programs of PostgreSQL were found, or none that will do. */
  | 'PGHERD_NO_POSTGRES'
  /** This platform cannot run a cluster, or the module was bundled. */
  | 'PGHERD_UNSUPPORTED'
  /** follow(): the node has WAL that its upstream never had. */
  | 'PGHERD_DIVERGED'

export class TestingError extends Error {
  readonly code: TestingErrorCode

  constructor(code: TestingErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'TestingError'
    this.code = code
  }
}
