// The text of a configuration file -> its lines `key = value`, as PgBouncer writes them. Knows no key.

export interface Entry {
  readonly key: string
  readonly value: string
  /** From 1. */
  readonly line: number
}

/** A configuration file of PgBouncer's begins with this one; its others list databases and users. */
const SECTIONS: ReadonlySet<string> = new Set(['pgherd', 'pgbouncer'])

/** Comments are whole lines. A value goes to the end of its line, without quotes. Throws where a line is none of these. */
export function entriesIn(text: string): readonly Entry[] {
  const found = new Map<string, Entry>()
  text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .forEach((whole, index) => {
      const line = index + 1
      if (/^\s*(?:[;#].*)?$/.test(whole)) return
      const [, section] = /^\s*\[([^\]]*)\]\s*$/.exec(whole) ?? []
      if (section !== undefined) {
        if (SECTIONS.has(section.trim())) return
        throw new Error(
          `line ${line}: there is no section [${section}]: servers are named by url, and all else stands in [pgherd]`
        )
      }
      const [, key, value] = /^\s*([A-Za-z][\w-]*)\s*=(.*)$/.exec(whole) ?? []
      // A line that cannot be read may hold a password: it is not repeated.
      if (key === undefined || value === undefined) throw new Error(`line ${line} is not key = value`)
      const before = found.get(key)
      if (before !== undefined) throw new Error(`line ${line}: ${key} is in line ${before.line} already`)
      found.set(key, { key, value: value.trim(), line })
    })
  return [...found.values()]
}
