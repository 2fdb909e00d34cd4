// Reads what was thrown. An application may throw anything: undefined, a frozen object, a proxy, an object whose getters throw.
// Never throws itself.

/** Returns a property of what was thrown; undefined where there is none, or it cannot be read. */
export function propertyOf(thrown: unknown, name: string): unknown {
  try {
    return (thrown as Readonly<Record<string, unknown>> | null | undefined)?.[name]
  } catch {
    return undefined
  }
}

/** instanceof asks a proxy, which may throw instead of an answer. */
export function isA<T>(thrown: unknown, kind: abstract new (...args: never) => T): thrown is T {
  try {
    return thrown instanceof kind
  } catch {
    return false
  }
}

/** Its class and message, for people. */
export function wordsOf(thrown: unknown): string {
  const [name, message] = [propertyOf(thrown, 'name'), propertyOf(thrown, 'message')]
  if (typeof message !== 'string' || message === '') return textOf(thrown)
  return typeof name === 'string' && name !== '' ? `${name}: ${message}` : message
}

/** As String() has it, where that is possible. */
export function textOf(thrown: unknown): string {
  try {
    return String(thrown)
  } catch {
    return 'an object that cannot be shown'
  }
}

/** pg takes an error that is falsy for success: `undefined` thrown by `what` becomes an error that says so. */
export function errorOf(thrown: unknown, what: string): unknown {
  return thrown || new Error(`${what} threw ${textOf(thrown)}`)
}
