// What was told against what is there: pure, and without mercy. Given every statement's fate as its caller saw it, what was
// done to the cluster meanwhile, and the rows that survived, it lists everything that must not be.

/**
 * As the caller saw it. `committed`: it failed, and its error says that its rows are there all the same. `nameless`: an error
 * that should have had an `outcome`, and had none.
 */
export type Fate = 'acknowledged' | 'committed' | 'not-sent' | 'rolled-back' | 'unknown' | 'nameless'

export interface Entry {
  /** Serial: a lane has at most one statement under way. */
  readonly lane: number
  /** Rows that it inserts, all or none of them unless it is `piecemeal`. */
  readonly ids: readonly number[]
  /** How it was sent. */
  readonly form: string
  readonly fate: Fate
  /** What the error said of itself. */
  readonly code: string | null
  readonly calledAt: number
  readonly endedAt: number
  /** It commits more than once: when it fails, a part of it may stay. */
  readonly piecemeal?: boolean
  /** Of a piecemeal one: rows whose COMMIT was acknowledged, whatever became of the rest. */
  readonly kept?: readonly number[]
  /** Its error speaks of the last of several statements alone: the caller, who sent each of them, knows of the others. */
  readonly stepwise?: boolean
  /** It is made to fail, and did by itself: which says nothing of connections. */
  readonly own?: 'undone' | 'stays' | null
}

/** Something was done to the cluster, from its beginning until all was well again. */
export interface Strike {
  readonly fault: string
  readonly from: number
  readonly to: number
  /** How many statements were under way where it struck: so many may have an unknown fate. */
  readonly limit: number
  /** No statement has a reason to fail. */
  readonly harmless?: boolean
}

export interface Ledger {
  readonly entries: readonly Entry[]
  readonly strikes: readonly Strike[]
  /** How often each id is there. */
  readonly rows: ReadonlyMap<number, number>
  /** Rows that a server had acknowledged, and lost with its data: none of them may ever be seen again. */
  readonly erased?: ReadonlySet<number>
  /** How often statements that tell so have begun. */
  readonly runs?: ReadonlyMap<number, number>
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
  | 'rerun' // begun more than once, and nothing had been done to anything
  | 'harmed' // it failed, and had no reason to

export interface Violation {
  readonly rule: Rule
  readonly detail: string
}

export interface Totals {
  readonly acknowledged: number
  /** Failed, and reported as being there all the same. */
  readonly committed: number
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
      committed: of('committed').length,
      notSent: of('not-sent').length,
      rolledBack: of('rolled-back').length,
      unknown: unknown.length,
      happened: unknown.filter(({ ids }) => ids.some((id) => rows.has(id))).length,
    },
    violations: [
      ...entries.flatMap((entry) => misreported(entry, ledger)),
      ...strays(ledger),
      ...unexcused(ledger),
      ...rerun(ledger),
      ...harmed(ledger),
    ],
  }
}

const NONE: ReadonlySet<number> = new Set()

function misreported(entry: Entry, { rows, erased = NONE }: Ledger): Violation[] {
  const { ids, fate, kept = [], piecemeal = false, stepwise = false, own = null } = entry
  const there = ids.filter((id) => rows.has(id))
  const broken = (rule: Rule, some: readonly number[]): Violation[] =>
    some.length === 0 ? [] : [{ rule, detail: `${some.join(', ')}: ${told(entry)}` }]
  const absent = ids.filter((id) => !rows.has(id))
  const missing = absent.filter((id) => !erased.has(id))
  const partial = there.length > 0 && absent.length > 0
  const refuted = fate === 'not-sent' || fate === 'rolled-back'
  // What stays outside of the ledger is not among its rows, and is there all the same.
  const stays = (own === 'stays' ? ids : there).filter((id) => !stepwise || !kept.includes(id))
  return [
    ...broken('lost', isKept(entry) ? missing : missing.filter((id) => kept.includes(id))),
    ...broken('resurrected', refuted ? stays : there.filter((id) => erased.has(id))),
    ...broken('torn', !piecemeal && partial && (!isKept(entry) || missing.length < absent.length) ? there : []),
    ...broken('nameless', fate === 'nameless' ? ids : []),
    ...broken(
      'doubled',
      there.filter((id) => (rows.get(id) ?? 0) > 1)
    ),
  ]
}

/** Of a piecemeal one that failed only a part is known to be there. */
function isKept({ fate, piecemeal = false }: Entry): boolean {
  return fate === 'acknowledged' || (fate === 'committed' && !piecemeal)
}

function strays({ entries, rows }: Ledger): Violation[] {
  const sent = new Set(entries.flatMap(({ ids }) => ids))
  return [...rows.keys()].filter((id) => !sent.has(id)).map((id) => ({ rule: 'stray', detail: `${id}` }))
}

/** Every unknown fate needs a strike that it overlaps, and a strike excuses no more than were under way. */
function unexcused({ entries, strikes }: Ledger): Violation[] {
  const found: Violation[] = []
  const left = new Map(strikes.map((strike) => [strike, strike.limit]))
  const unknown = entries
    .filter(({ fate, own }) => fate === 'unknown' && own !== 'stays')
    .sort((a, b) => a.endedAt - b.endedAt)
  for (const entry of unknown) {
    const met = strikes.filter((strike) => meets(strike, entry))
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

const meets = ({ from, to }: Strike, { calledAt, endedAt }: Entry) => calledAt <= to && endedAt >= from

/** A statement that failed by itself runs once; one that a strike met may have run again before. */
function rerun({ entries, strikes, runs = new Map() }: Ledger): Violation[] {
  const quiet = entries.filter((entry) => !strikes.some((strike) => meets(strike, entry)))
  return quiet.flatMap((entry) => {
    const times = Math.max(0, ...entry.ids.map((id) => runs.get(id) ?? 0))
    return times > 1 ? [{ rule: 'rerun' as const, detail: `${times} times: ${told(entry)}` }] : []
  })
}

function harmed({ entries, strikes }: Ledger): Violation[] {
  const harmless = strikes.filter((strike) => strike.harmless)
  const failed = entries.filter(({ fate, own = null }) => fate !== 'acknowledged' && own === null)
  return failed.flatMap((entry) => {
    const met = harmless.find((strike) => entry.calledAt >= strike.from && entry.endedAt <= strike.to)
    return met === undefined ? [] : [{ rule: 'harmed' as const, detail: `${met.fault}: ${told(entry)}` }]
  })
}

function told({ lane, form, fate, code, calledAt, endedAt }: Entry): string {
  const when = `from ${Math.round(calledAt)} to ${Math.round(endedAt)} ms`
  return `${form} of lane ${lane}, ${fate}${code === null ? '' : ` (${code})`}, ${when}`
}
