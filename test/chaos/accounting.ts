// What was told against what is there: pure, and without mercy. Given every statement's fate as its caller saw it, what was
// done to the cluster meanwhile, and the rows that survived, it lists everything that must not be.

/** As the caller saw it. `nameless`: an error that should have had an `outcome`, and had none. */
export type Fate = 'acknowledged' | 'not-sent' | 'rolled-back' | 'unknown' | 'nameless'

export interface Entry {
  /** Serial: a lane has at most one statement under way. */
  readonly lane: number
  /** Rows that it inserts, all or none of them. */
  readonly ids: readonly number[]
  /** How it was sent. */
  readonly form: string
  readonly fate: Fate
  /** What the error said of itself. */
  readonly code: string | null
  readonly calledAt: number
  readonly endedAt: number
}

/** Something was done to the cluster, from its beginning until all was well again. */
export interface Strike {
  readonly fault: string
  readonly from: number
  readonly to: number
  /** How many statements were under way where it struck: so many may have an unknown fate. */
  readonly limit: number
}

export interface Ledger {
  readonly entries: readonly Entry[]
  readonly strikes: readonly Strike[]
  /** How often each id is there. */
  readonly rows: ReadonlyMap<number, number>
}

export type Rule =
  | 'lost' // acknowledged, and not there
  | 'doubled' // there more than once
  | 'resurrected' // reported as not executed, and there
  | 'torn' // a part of it is there
  | 'stray' // there, and nobody has sent it
  | 'unexplained' // its fate was reported as unknown, and nothing had been done to anything
  | 'excessive' // more unknown fates than statements under way
  | 'nameless' // an error without outcome

export interface Violation {
  readonly rule: Rule
  readonly detail: string
}

export interface Totals {
  readonly acknowledged: number
  readonly notSent: number
  readonly rolledBack: number
  readonly unknown: number
  /** Of the unknown ones, those that are there. */
  readonly happened: number
}

export interface Verdict {
  readonly totals: Totals
  readonly violations: readonly Violation[]
}

export function settle(ledger: Ledger): Verdict {
  const { entries, rows } = ledger
  const of = (fate: Fate) => entries.filter((entry) => entry.fate === fate)
  const unknown = of('unknown')
  return {
    totals: {
      acknowledged: of('acknowledged').length,
      notSent: of('not-sent').length,
      rolledBack: of('rolled-back').length,
      unknown: unknown.length,
      happened: unknown.filter(({ ids }) => ids.some((id) => rows.has(id))).length,
    },
    violations: [...entries.flatMap((entry) => misreported(entry, rows)), ...strays(ledger), ...unexcused(ledger)],
  }
}

function misreported(entry: Entry, rows: Ledger['rows']): Violation[] {
  const { ids, fate } = entry
  const there = ids.filter((id) => rows.has(id))
  const broken = (rule: Rule, some: readonly number[]): Violation[] =>
    some.length === 0 ? [] : [{ rule, detail: `${some.join(', ')}: ${told(entry)}` }]
  const absent = ids.filter((id) => !rows.has(id))
  const partial = there.length > 0 && absent.length > 0
  return [
    ...broken('lost', fate === 'acknowledged' ? absent : []),
    ...broken('resurrected', fate === 'not-sent' || fate === 'rolled-back' ? there : []),
    ...broken('torn', fate !== 'acknowledged' && partial ? there : []),
    ...broken('nameless', fate === 'nameless' ? ids : []),
    ...broken(
      'doubled',
      there.filter((id) => (rows.get(id) ?? 0) > 1)
    ),
  ]
}

function strays({ entries, rows }: Ledger): Violation[] {
  const sent = new Set(entries.flatMap(({ ids }) => ids))
  return [...rows.keys()].filter((id) => !sent.has(id)).map((id) => ({ rule: 'stray', detail: `${id}` }))
}

/** Every unknown fate needs a strike that it overlaps, and a strike excuses no more than were under way. */
function unexcused({ entries, strikes }: Ledger): Violation[] {
  const found: Violation[] = []
  const left = new Map(strikes.map((strike) => [strike, strike.limit]))
  const unknown = entries.filter(({ fate }) => fate === 'unknown').sort((a, b) => a.endedAt - b.endedAt)
  for (const entry of unknown) {
    const met = strikes.filter(({ from, to }) => entry.calledAt <= to && entry.endedAt >= from)
    const excuse = met.find((strike) => (left.get(strike) ?? 0) > 0)
    if (excuse !== undefined) left.set(excuse, (left.get(excuse) ?? 0) - 1)
    else if (met.length === 0) found.push({ rule: 'unexplained', detail: told(entry) })
    else {
      const during = met.map(({ fault, limit }) => `${fault} (at most ${limit})`).join(', ')
      found.push({ rule: 'excessive', detail: `${during}: ${told(entry)}` })
    }
  }
  return found
}

function told({ lane, form, fate, code, calledAt, endedAt }: Entry): string {
  const when = `from ${Math.round(calledAt)} to ${Math.round(endedAt)} ms`
  return `${form} of lane ${lane}, ${fate}${code === null ? '' : ` (${code})`}, ${when}`
}
