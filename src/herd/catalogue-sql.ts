// The texts that ask a database what its names mean. What the rows mean is decided in core/sql/definitions.ts.

import { OUTSIDE_IN_BODIES } from '../core/sql/undoing.js'

/** Extensions of PostgreSQL's own: the names of their functions in C tell what these do. */
const CONTRIB =
  `amcheck autoinc bloom btree_gin btree_gist citext cube dblink dict_int dict_xsyn earthdistance file_fdw fuzzystrmatch hstore
  insert_username intagg intarray isn lo ltree moddatetime pageinspect pg_buffercache pg_freespacemap pg_prewarm
  pg_stat_statements pg_surgery pg_trgm pg_visibility pg_walinspect pgcrypto pgrowlocks pgstattuple postgres_fdw refint seg
  sslinfo tablefunc tcn tsm_system_rows tsm_system_time unaccent uuid-ossp xml2 adminpack plpgsql`
    .split(/\s+/)
    .map((name) => `'${name}'`)
    .join(', ')

/**
 * A literal that is right also where standard_conforming_strings is off. That setting decides how the whole text is read before any
 * of it runs.
 */
const literal = (text: string): string => `E'${text.replaceAll('\\', '\\\\')}'`

const OUTSIDE_CALL = literal(OUTSIDE_IN_BODIES)
/** A regular expression that finds calls of the function with this name. */
const callOf = (name: string): string =>
  `${literal('(^|\\W)')} || regexp_replace(${name}, ${literal('(\\W)')}, ${literal('\\\\\\1')}, 'g') || ${literal('"?\\s*\\(')}`

/**
 * One row for each kind and name. Any role may read all of it. Names of all schemas are asked for, since a statement is matched by
 * the last part of a name only. Objects of the system itself have identifiers below 16384 (FirstNormalObjectId). xmin changes with
 * the definition of a function, and so does the text of this answer.
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

/** How far the replica that answers has replayed. */
export const POSITION = 'select pg_catalog.pg_last_wal_replay_lsn()::pg_catalog.text as position'
