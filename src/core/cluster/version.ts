// Which versions of PostgreSQL a probe can ask.

const OLDEST = 12

/** `server_version`, with what its packager added. What is no number is another product, and is not judged by that. */
export function isTooOld(version: string | null): boolean {
  const [major] = /^\d+/.exec(version ?? '') ?? []
  return major !== undefined && Number(major) < OLDEST
}

export function tooOldText(version: string): string {
  return `the server is PostgreSQL ${version}, and pgherd needs ${OLDEST} or newer: upgrade it, or take it out of the hosts`
}
