// What users of the database define can stand in front of the server's own functions, operators and types (CVE-2018-1058).
// pgherd asks with the application's rights, every 300 ms and on every connection: nothing of theirs is called.

import assert from 'node:assert/strict'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, poolOn } from '../support/pools.js'

/** Name and argument types, as a call in what pgherd asks would find them, and what they give. */
const FUNCTIONS = [
  ['pg_is_in_recovery', '', 'boolean'],
  ['pg_current_wal_insert_lsn', '', 'pg_lsn'],
  ['pg_current_wal_flush_lsn', '', 'pg_lsn'],
  ['pg_current_wal_lsn', '', 'pg_lsn'],
  ['pg_last_wal_replay_lsn', '', 'pg_lsn'],
  ['pg_postmaster_start_time', '', 'timestamptz'],
  ['pg_walfile_name', 'pg_lsn', 'pg_catalog.text'],
  ['substr', 'pg_catalog.text, int, int', 'pg_catalog.text'],
  ['current_setting', 'pg_catalog.text', 'pg_catalog.text'],
  ['current_database', '', 'name'],
  ['concat_ws', 'pg_catalog.text, boolean, bigint, pg_catalog.text, pg_lsn', 'pg_catalog.text'],
  ['pg_size_bytes', 'pg_catalog.text', 'bigint'],
  ['pg_has_role', 'oid, pg_catalog.text', 'boolean'],
  ['pg_has_role', 'regrole, pg_catalog.text', 'boolean'],
  ['to_regrole', 'pg_catalog.text', 'regrole'],
  ['quote_ident', 'pg_catalog.text', 'pg_catalog.text'],
  ['host', 'inet', 'pg_catalog.text'],
  ['pg_get_viewdef', 'oid', 'pg_catalog.text'],
  ['pg_get_expr', 'pg_node_tree, oid', 'pg_catalog.text'],
] as const

const OPERATORS = [
  ['=', 'pg_catalog.text', 'pg_catalog.text'],
  ['=', 'name', 'name'],
  ['=', 'oid', 'oid'],
  ['=', 'oid', 'int'],
  ['=', '"char"', '"char"'],
  ['>=', 'oid', 'int'],
  ['<>', '"char"', '"char"'],
  ['~*', 'pg_catalog.text', 'pg_catalog.text'],
  ['*', 'numeric', 'int'],
  ['*', 'double precision', 'int'],
  ['/', 'int', 'int'],
] as const

const RELATIONS = ['pg_class', 'pg_proc', 'pg_roles', 'pg_database', 'pg_stat_replication', 'pg_db_role_setting']

function definitions(): readonly string[] {
  const body = "language plpgsql as $$ begin raise exception 'hijacked'; end $$"
  const functions = FUNCTIONS.map(
    ([name, takes, gives]) => `create function evil.${name}(${takes}) returns ${gives} ${body}`
  )
  const operators = OPERATORS.flatMap(([sign, left, right], n) => {
    const gives = '*/'.includes(sign) ? 'numeric' : 'boolean'
    return [
      `create function evil.operator_${n}(${left}, ${right}) returns ${gives} ${body}`,
      `create operator evil.${sign} (function = evil.operator_${n}, leftarg = ${left}, rightarg = ${right})`,
    ]
  })
  const relations = RELATIONS.map((name) => `create view evil.${name} as select 1 as hijacked`)
  const types = ['text', 'int8', 'interval'].map(
    (name) => `create domain evil.${name} as pg_catalog.int4 check (false)`
  )
  return [
    'create schema evil',
    'grant usage on schema evil to public',
    ...functions,
    ...operators,
    ...relations,
    ...types,
  ]
}

describe('names in front of the server’s own', () => {
  let cluster: Cluster

  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    const admin = await cluster.connect(0)
    for (const definition of definitions()) await admin.query(definition)
    await admin.query('create table orders (item pg_catalog.text)')
    await admin.query('create function priced(int) returns int stable language sql as $$ select $1 $$')
    const superuser = await cluster.connect(0, 'postgres')
    for (const role of ['app', 'monitor'])
      await superuser.query(`alter role ${role} set search_path = evil, public, pg_catalog`)
    await cluster.caughtUp(1, 0)
  })
  afterEach(endPools)
  after(() => cluster?.destroy())

  for (const role of ['app', 'monitor'] as const) {
    it(`nothing of theirs is called for ${role}: probes, the catalogue, captures, guards, clients that borrow`, async () => {
      const pool = poolOn(cluster, {}, role)
      await pool.ready({ replicas: 1 })
      for (let n = 0; n < 20; n++) {
        await pool.query('insert into orders values (null)')
        await pool.query('select from orders')
      }
      const client = await pool.connect()
      await client.query('begin read only')
      await client.query('select from orders')
      await client.query('commit')
      client.release()
      await eventually('the catalogue was read', () => pool.explain('select priced(1)').intent === 'read')
      const [replica] = pool.topology().nodes.filter(({ state }) => state === 'replica')
      assert.ok(replica?.lagMillis !== null && replica?.systemIdentifier)
      assert.doesNotMatch(cluster.log(0) + cluster.log(1), /hijacked/)
    })
  }
})
