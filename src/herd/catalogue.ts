// What the database itself says of names, read in the background: once a replica can answer, again after a while, and when
// something suggests that it is outdated. Decides when and where to read; what the rows mean is core/sql/definitions.ts.

import { failureOf } from '../core/cluster/failure.js'
import type { Required } from '../core/cluster/horizon.js'
import { parseLsn } from '../core/cluster/lsn.js'
import type { Node } from '../core/cluster/node.js'
import type { Choice, Target } from '../core/cluster/selection.js'
import { type DefinitionRow, type Definitions, define, doubted, UNREAD, unreadable } from '../core/sql/definitions.js'
import { OUTSIDE_IN_BODIES } from '../core/sql/undoing.js'
import type { Clock } from '../runtime/clock.js'
import type { Question } from './question.js'

/** Definitions made by others, or inside a DO, are noticed this late. */
const REFRESH_MILLIS = 60_000
/**
 * Between two readings there is at least this pause, and ten times as long as the last one took. After each doubt that came
 * to nothing it doubles, and after each failure; behind a change it does not, since reads wait for that on the primary.
 */
const PAUSE_MILLIS = 250
/** So long what has waited for the first look has the primary to itself. */
const YIELD_MILLIS = 10
const MOST_DOUBLINGS = 8
const MOST_RETRY_MILLIS = 8_000
const DEADLINE_MILLIS = 10_000
/** So often in vain, and reads go on without it. */
const MOST_FAILURES = 3
/** Failures that no waiting cures: no right to read it, or servers that have no such catalogue. */
const FINAL: ReadonlySet<string | null> = new Set(['42501', '42P01', '42703', '42883'])

/** Extensions of PostgreSQL's own: what their functions in C do is known by their names. */
const CONTRIB =
  `amcheck autoinc bloom btree_gin btree_gist citext cube dblink dict_int dict_xsyn earthdistance file_fdw fuzzystrmatch hstore
  insert_username intagg intarray isn lo ltree moddatetime pageinspect pg_buffercache pg_freespacemap pg_prewarm
  pg_stat_statements pg_surgery pg_trgm pg_visibility pg_walinspect pgcrypto pgrowlocks pgstattuple postgres_fdw refint seg
  sslinfo tablefunc tcn tsm_system_rows tsm_system_time unaccent uuid-ossp xml2 adminpack plpgsql`
    .split(/\s+/)
    .map((name) => `'${name}'`)
    .join(', ')

/** Also where standard_conforming_strings is off, which decides how the whole text is read before any of it runs. */
const literal = (text: string): string => `E'${text.replaceAll('\\', '\\\\')}'`

const OUTSIDE_CALL = literal(OUTSIDE_IN_BODIES)
/** A regular expression that finds calls of the function with this name. */
const callOf = (name: string): string =>
  `${literal('(^|\\W)')} || regexp_replace(${name}, ${literal('(\\W)')}, ${literal('\\\\\\1')}, 'g') || ${literal('"?\\s*\\(')}`

/**
 * One row per kind and name. Everything here may be read by any role. Names of all schemas, since a statement is matched by
 * the last part of a name only; objects of the system itself have identifiers below 16384 (FirstNormalObjectId). xmin changes
 * with a function's definition, and so does the text of this answer.
 */
export const CATALOGUE = `with recursive
  odd(oid, kind) as (
    select oid, case relkind when 'S' then 'sequence' when 'f' then 'foreign' else 'unlogged' end from pg_class
      where oid >= 16384 and (relkind in ('S', 'f') or relkind in ('r', 'p') and relpersistence = 'u')
    union select i.inhparent, odd.kind from odd join pg_inherits i on i.inhrelid = odd.oid),
  routines as (
    select p.oid, proname, p.xmin::text::bigint as version, pronargs, pronargdefaults,
        case when prokind <> 'a' then provolatile = 'v' else exists (select from pg_aggregate a join pg_proc s
          on s.oid in (aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggmtransfn, aggminvtransfn,
            aggmfinalfn) where a.aggfnoid = p.oid and s.provolatile = 'v') end as volatile
      from pg_proc p where p.oid >= 16384 and prokind <> 'p' and not 'internal'::regtype = any (proargtypes::oid[])
        and prorettype::regtype::text not in ('trigger', 'event_trigger', 'internal', 'language_handler', 'fdw_handler',
          'index_am_handler', 'tsm_handler', 'table_am_handler')),
  volatile as (
    select routines.*, exists (select from pg_depend d join pg_extension e on e.oid = d.refobjid
        where d.classid = 'pg_proc'::regclass and d.objid = routines.oid and d.deptype = 'e'
          and e.extname in ('pgcrypto', 'uuid-ossp', 'tablefunc')) as contrib
      from routines where volatile),
  bodies as (
    select p.oid, proname::text as name, lanname, lanpltrusted, e.extname,
        case when prosrc = '' then pg_get_functiondef(p.oid) else prosrc end as body
      from pg_proc p join pg_language l on l.oid = prolang
        left join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
        left join pg_extension e on e.oid = d.refobjid
      where p.oid >= 16384 and prokind <> 'a' and provolatile = 'v'),
  acting(oid, name, undone) as (
    select oid, name, case when lanname <> 'c' and body ~* ${OUTSIDE_CALL} then 'outside' else 'hidden' end
      from bodies where case when lanname = 'c' then coalesce(extname not in (${CONTRIB}), true)
        else not lanpltrusted and lanname <> 'internal' or body ~* ${OUTSIDE_CALL} end
    union select b.oid, b.name, acting.undone from acting join bodies b
      on lanname <> 'c' and body ~* (${callOf('acting.name')})),
  made(oid, name, undone) as (
    select oid, name, undone from acting
    union select p.oid, p.proname::text, undone from pg_aggregate a join pg_proc p on p.oid = aggfnoid join acting
      on acting.oid in (aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggmtransfn, aggminvtransfn, aggmfinalfn)),
  calls as (
    select ${OUTSIDE_CALL} as pattern, 'outside' as undone
    union all select distinct ${callOf('name')}, undone from made),
  checked(oid, undone) as (
    select contypid, undone from pg_constraint join calls on pg_get_expr(conbin, 0) ~* pattern where contypid <> 0
    union select t.oid, undone from checked join pg_type t on typbasetype = checked.oid),
  changing(oid, undone) as (
    select tgrelid, undone from pg_trigger join acting on acting.oid = tgfoid
    union select tgrelid, undone from pg_trigger join calls on pg_get_triggerdef(pg_trigger.oid) ~* pattern
      where tgqual is not null
    union select conrelid, undone from pg_constraint join calls on pg_get_expr(conbin, conrelid) ~* pattern
      where contype = 'c' and conrelid >= 16384
    union select attrelid, undone from pg_attribute join checked on checked.oid = atttypid
    union select polrelid, undone from pg_policy join calls on pg_get_expr(polwithcheck, polrelid) ~* pattern
    union select ev_class, undone from pg_rewrite join pg_class c on c.oid = ev_class
        join calls on pg_get_ruledef(pg_rewrite.oid) ~* pattern
      where pg_rewrite.oid >= 16384 and (ev_type <> '1' or relkind = 'm')
    union select adrelid, undone from pg_attrdef join calls on pg_get_expr(adbin, adrelid) ~* pattern
    union select reached.oid, undone from changing, lateral (
      select inhparent as oid from pg_inherits where inhrelid = changing.oid
      union all select confrelid from pg_constraint
        where conrelid = changing.oid and contype = 'f' and (confdeltype in ('c', 'n', 'd') or confupdtype in ('c', 'n', 'd'))
      union all select ev_class from pg_depend d join pg_rewrite r on r.oid = d.objid
        where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = changing.oid
    ) reached)
select 'function' as kind, proname::text as name, sum(version)::text as text from routines
  group by proname having not bool_or(volatile)
union all select case when bool_and(contrib) then 'contrib' else 'volatile' end, proname, null from volatile group by proname
union all select 'field', proname, null from volatile
  where pronargs > 0 and pronargs - pronargdefaults <= 1 group by proname
union all select 'type', typname, null from pg_type t
    join (select oid as made, typinput as maker from pg_type union all select casttarget, castfunc from pg_cast
      union all select castsource, castfunc from pg_cast) makers
      on made = t.oid
    join pg_proc p on p.oid = maker
  where t.oid >= 16384 and provolatile = 'v' group by typname
union all select 'domain', typname, pg_get_expr(conbin, 0) from pg_constraint join pg_type t on t.oid = contypid
union all select 'operator', oprname, null from pg_operator join pg_proc p on p.oid = oprcode
  where pg_operator.oid >= 16384 and provolatile = 'v' group by oprname
union all select odd.kind, relname, null from odd join pg_class using (oid) group by odd.kind, relname
union all select 'view', relname, pg_get_viewdef(oid) from pg_class where oid >= 16384 and relkind = 'v'
union all select 'policy', relname, pg_get_expr(polqual, polrelid) from pg_policy join pg_class c on c.oid = polrelid
  where relrowsecurity and polcmd in ('r', '*') and polqual is not null
union all select 'acting', name, max(undone) from made group by name
union all select 'acting', oprname, max(undone) from pg_operator join acting on acting.oid = oprcode group by oprname
union all select 'touching', typname, max(undone) from checked join pg_type using (oid) group by typname
union all select 'touching', typname, max(undone) from pg_cast join acting on acting.oid = castfunc
    join pg_type t on t.oid in (castsource, casttarget)
  where t.oid >= 16384 group by typname
union all select 'changing', relname, max(undone) from changing join pg_class using (oid) group by relname
order by 1, 2, 3`

const POSITION = 'select pg_catalog.pg_last_wal_replay_lsn()::pg_catalog.text as position'

export interface CatalogueParts {
  readonly clock: Clock
  readonly ask: Question
  readonly choose: (target: Target) => Choice
  /** It cannot be read, and why. */
  readonly unreadable: (message: string) => void
  /** A reading is over: statements that wait for what it says are asked again. */
  readonly news: () => void
  /** What a read of the pool needs of a replica, with T as given. Null: no read goes to one. */
  readonly target: (since: number | null) => Target | null
  /** Where it is read if no replica may answer: the primary has all that replicas will have. Null: a replica is waited for. */
  readonly instead: (isFirst: boolean) => Node | null
}

export class Catalogue {
  readonly #parts: CatalogueParts
  readonly #stopped = new AbortController()
  #arrive: () => void = () => {}
  /** Resolves when the first attempt is over, and when there will be none. */
  readonly arrived = new Promise<void>((resolve) => {
    this.#arrive = resolve
  })
  #definitions = UNREAD
  #answer = ''
  #due = true
  /** Definitions changed at this time, on the monotonic clock: what was read before does not count. */
  #changedAt: number | null = null
  #reading = false
  #failures = 0
  /** How often in a row nothing had changed. */
  #fruitless = 0
  #readAt = -Infinity
  #tookMillis = 0
  #staleAt = Infinity
  /** When it may be read on another node than a replica, on the monotonic clock. */
  #insteadAt: number | null = null

  constructor(parts: CatalogueParts) {
    this.#parts = parts
  }

  get definitions(): Definitions {
    return this.#definitions
  }

  /** It was read since the last change that is known of, or cannot be read at all. Until then nobody knows what a name hides. */
  get current(): boolean {
    return this.#definitions !== UNREAD && this.#changedAt === null
  }

  /** What it says will be known before long. */
  get reading(): boolean {
    return this.#reading
  }

  /** A statement failed as if a name meant something else than is written here. */
  doubt(): void {
    this.#due = true
  }

  /** Definitions were changed through this pool; the change is acknowledged. */
  changed(): void {
    this.#changedAt = this.#parts.clock.mono()
    this.#due = true
    this.#definitions = doubted(this.#definitions)
  }

  /** Called for every change of the picture: the replicas that may answer come and go with it. */
  follow(): void {
    const now = this.#parts.clock.mono()
    if (now > this.#staleAt) {
      this.#due = true
      this.#fruitless = 0
    }
    if (!this.#due || this.#reading || now < this.#readAt + this.#pause() || this.#stopped.signal.aborted) return
    const target = this.#parts.target(this.#changedAt)
    if (target === null) return
    const choice = this.#parts.choose(target)
    if (choice.node !== null && choice.node.state.kind === 'replica') {
      void this.#read(choice.node, choice.required)
      return
    }
    const instead = this.#parts.instead(this.#definitions === UNREAD && this.#failures === 0)
    if (instead === null) return
    // The statements that have waited for this node go first.
    this.#insteadAt ??= now + YIELD_MILLIS
    if (now >= this.#insteadAt) void this.#read(instead, null)
    else this.#parts.clock.alarm(this.#insteadAt - now, () => this.follow())
  }

  stop(): void {
    this.#stopped.abort()
    this.#arrive()
  }

  async #read(node: Node, required: Required | null): Promise<void> {
    const { clock, ask } = this.#parts
    const startedAt = clock.mono()
    const changedAt = this.#changedAt
    this.#reading = true
    this.#due = false
    try {
      const [[position] = [], rows = []] = await ask(
        node.address,
        [POSITION, CATALOGUE],
        DEADLINE_MILLIS,
        this.#stopped.signal
      )
      const replayed = parseLsn(position?.position)
      // A new connection may lead to a server that has gone back since its position was seen.
      if (required !== null && (replayed === null || replayed < required.lsn)) throw new Error('the replica went back')
      this.#accept(rows as unknown as readonly DefinitionRow[], changedAt)
    } catch (error) {
      this.#refuse(error)
    } finally {
      this.#reading = false
      const now = clock.mono()
      this.#readAt = now
      this.#tookMillis = now - startedAt
      this.#staleAt = now + REFRESH_MILLIS * (0.8 + 0.4 * clock.random())
      this.#parts.news()
    }
  }

  #pause(): number {
    const doublings = this.#changedAt === null ? this.#fruitless + this.#failures : this.#failures
    const least = PAUSE_MILLIS * 2 ** Math.min(doublings, MOST_DOUBLINGS)
    // What took long because it failed may have waited for a lock: that is no measure.
    return this.#failures > 0 ? Math.min(least, MOST_RETRY_MILLIS) : Math.max(least, 10 * this.#tookMillis)
  }

  /** The same answer as before leaves everything as it is, and so all that was learned since. */
  #accept(rows: readonly DefinitionRow[], changedAt: number | null): void {
    const answer = JSON.stringify(rows)
    this.#failures = 0
    const meanwhile = this.#changedAt !== changedAt
    if (!meanwhile) this.#changedAt = null
    this.#fruitless = answer === this.#answer ? this.#fruitless + 1 : 0
    if (answer !== this.#answer || changedAt !== null) this.#definitions = define(rows)
    if (meanwhile) this.#definitions = doubted(this.#definitions)
    this.#answer = answer
    this.#arrive()
  }

  #refuse(error: unknown): void {
    if (this.#stopped.signal.aborted) return
    this.#due = true
    this.#failures++
    const { code, message } = failureOf(error, 'connect')
    const final = FINAL.has(code)
    // It was read before, so it will be again: a migration that locks its views, a server that is gone. Reads can wait for
    // that on the primary.
    if (!final && (this.#answer !== '' || this.#failures < MOST_FAILURES)) return
    this.#changedAt = null
    this.#answer = ''
    this.#parts.unreadable(message)
    this.#definitions = unreadable(message)
    this.#arrive()
  }
}
