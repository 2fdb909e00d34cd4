// How util.inspect and console.log print values of pgherd. Nothing else changes: the method is not enumerable, so spread, JSON and
// comparisons see plain values.

import { coloured, type Paint, plain } from './text.js'

/** The name of a method that util.inspect calls. */
export const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom')

export interface InspectOptions {
  readonly colors?: boolean
  readonly stylize?: (text: string, style: 'special') => string
}

export type Inspect = (value: unknown, options: object) => string

/** A `text` of several lines stands below the name of the value. */
export function printedAs<T extends object>(value: T, name: string, text: (value: T, paint: Paint) => string): T {
  const show = (depth: number | null, { colors, stylize }: InspectOptions) => {
    // What is nested deeper than was asked for shows its name only, as with any other object.
    if (depth !== null && depth < 0) return stylize?.(`[${name}]`, 'special') ?? `[${name}]`
    return `${name} ${text(value, colors === true ? coloured : plain)}`
  }
  return Object.defineProperty(value, INSPECT, { value: show })
}

/** What an instance shows of itself, instead of all that it holds. */
export function inspected(
  name: string,
  fields: object,
  depth: number | null,
  options: InspectOptions,
  inspect: Inspect
): string {
  if (depth !== null && depth < 0) return options.stylize?.(`[${name}]`, 'special') ?? `[${name}]`
  return `${name} ${inspect(fields, { ...options, depth })}`
}
