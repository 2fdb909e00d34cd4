// Text for people: names and numbers as text, and escapes for what must not reach a terminal. Imports nothing of pgherd.

/**
 * Words of a server or a resolver, on one line. Line breaks and tabs are spaces. Every other character without
 * a glyph is shown as its number: it could move a cursor, turn the direction of what follows, or pass for another text.
 */
export function printable(text: string): string {
  return text
    .replace(/[\t\n\v\f\r\x85\p{Zl}\p{Zp}]+/gu, ' ')
    .replace(UNSEEN, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)
    .trim()
}

/** Control, format, private and unassigned characters, halves of pairs, and separators of lines. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}]/gu

/** printable(), line by line. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

/** JSON as JSON.stringify() writes it, safe to print on a terminal: characters without a glyph are escaped. */
export function printableJson(value: unknown, indent?: number): string {
  const unitOf = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  return JSON.stringify(value, null, indent).replace(UNSEEN, (character) =>
    character === '\n' ? character : character.split('').map(unitOf).join('')
  )
}

/** A name as SQL has it, in quotes; with escapes (`U&`) where it could not be read or pasted otherwise. */
export function sqlIdentifier(name: string): string {
  const quoted = name.replaceAll('"', '""')
  if (quoted.search(UNSEEN) === -1) return `"${quoted}"`
  const numberOf = (character: string) => `\\+${(character.codePointAt(0) ?? 0).toString(16).padStart(6, '0')}`
  return `U&"${quoted.replaceAll('\\', '\\\\').replace(UNSEEN, numberOf)}"`
}

/** Both ends tell names apart, and the middle goes. */
export function shortened(text: string, width: number): string {
  if (text.length <= width) return text
  const kept = Math.max(2, width - 1)
  return `${text.slice(0, Math.ceil(kept / 2))}…${text.slice(text.length - Math.floor(kept / 2))}`
}

/** Breaks between words; a word that is longer than a line is cut. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
    while (line.length > width) {
      lines.push(line.slice(0, width))
      line = line.slice(width)
    }
  }
  return line === '' ? lines : [...lines, line]
}

/** An upper bound stays one: rounded up. */
export function millisText(millis: number): string {
  if (millis < 1000) return `${Math.ceil(millis)} ms`
  if (millis < 100_000) return `${(Math.ceil(millis / 100) / 10).toFixed(1)} s`
  return millis < 6_000_000 ? `${Math.ceil(millis / 60_000)} min` : `${Math.ceil(millis / 3_600_000)} h`
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** As pg_size_pretty() has it: a kB is 1024 bytes. */
export function bytesText(bytes: number): string {
  let [amount, unit] = [bytes, 0]
  while (amount >= 1000 && unit < UNITS.length - 1) {
    amount /= 1024
    unit++
  }
  return `${unit === 0 || amount >= 100 ? Math.round(amount) : amount.toFixed(1)} ${UNITS[unit]}`
}

/** 'a', 'a and b', 'a, b and c'. */
export function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}

export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}
