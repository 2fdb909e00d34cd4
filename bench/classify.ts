// How long it takes to tell what a statement needs, uncached: one line per kind of statement and one over all. The
// statements have the shapes that node-postgres users and their query builders send, over several sets of names.
//   npm run build && node dist/bench/classify.js [rounds]

import { classify } from '../src/core/classify.js'

interface Names {
  readonly table: string
  readonly other: string
  readonly key: string
  readonly field: string
}

const NAMES: readonly Names[] = [
  { table: 'users', other: 'posts', key: 'user_id', field: 'email' },
  { table: 'orders', other: 'order_items', key: 'order_id', field: 'status' },
  { table: 'articles', other: 'comments', key: 'article_id', field: 'title' },
  { table: 'devices', other: 'measurements', key: 'device_id', field: 'serial' },
  { table: 'invoices', other: 'payments', key: 'invoice_id', field: 'reference' },
]

type Shape = (names: Names) => string

const READS: readonly Shape[] = [
  ({ table }) => `select * from ${table} where id = $1`,
  ({ table, field }) => `SELECT id, ${field}, created_at FROM ${table} ORDER BY created_at DESC LIMIT 20 OFFSET 40`,
  ({ table }) => `SELECT count(*)::int AS total FROM ${table}`,
  ({ table, field }) => `SELECT 1 FROM ${table} WHERE lower(${field}) = lower($1) LIMIT 1`,
  ({ table }) => `select * from ${table} where id = any($1::int[]) and deleted_at is null`,
  ({ table, field }) =>
    `select "id", "${field}", "createdAt", "updatedAt" from "${table}" where "${table}"."${field}" = $1 limit $2`,
  ({ table, other, key, field }) =>
    `SELECT "${table}"."id", "${table}"."${field}", "d0"."data" AS "${other}" FROM "${table}" "${table}" ` +
    `LEFT JOIN LATERAL (SELECT coalesce(json_agg(json_build_array("o"."id", "o"."body")), '[]'::json) AS "data" ` +
    `FROM (SELECT * FROM "${other}" WHERE "${other}"."${key}" = "${table}"."id" LIMIT $1) "o") "d0" ON true WHERE $2`,
  ({ table, other, key, field }) =>
    `SELECT "public"."${table}"."id", "public"."${table}"."${field}", COALESCE("aggr"."_count", 0) AS "_count" ` +
    `FROM "public"."${table}" LEFT JOIN (SELECT "public"."${other}"."${key}", COUNT(*) AS "_count" ` +
    `FROM "public"."${other}" WHERE 1=1 GROUP BY "public"."${other}"."${key}") AS "aggr" ` +
    `ON ("public"."${table}"."id" = "aggr"."${key}") WHERE ("public"."${table}"."id" IN ($1,$2,$3)) OFFSET $4`,
  ({ table, other, key, field }) =>
    `SELECT "t"."id" AS "t_id", "t"."${field}" AS "t_${field}", "o"."id" AS "o_id", "o"."body" AS "o_body" FROM ` +
    `"${table}" "t" LEFT JOIN "${other}" "o" ON "o"."${key}"="t"."id"  WHERE "t"."${field}" ILIKE $1 AND ` +
    `("t"."deletedAt" IS NULL) ORDER BY "t"."id" ASC`,
  ({ table, other, key }) =>
    `WITH recent(id, n) AS (SELECT ${key}, count(*) FROM ${other} WHERE created_at > now() - interval '7 days' ` +
    `GROUP BY ${key}) SELECT t.*, r.n FROM ${table} t JOIN recent r USING (id) ORDER BY r.n DESC`,
  ({ other, key }) =>
    `select * from (select *, row_number() over (partition by ${key} order by created_at desc) as rn ` +
    `from ${other}) as ranked where rn = 1`,
  ({ table, field }) =>
    `SELECT date_trunc('day', created_at) AS day, ${field}, sum(amount) FILTER (WHERE amount > 0) AS gained, ` +
    `avg(amount)::numeric(12,2) FROM ${table} WHERE created_at BETWEEN $1 AND $2 GROUP BY 1, 2 HAVING count(*) > 5`,
  ({ table }) =>
    `/* action='index',controller='${table}' */ SELECT * FROM ${table} WHERE data @> $1::jsonb AND data->>'kind' = 'a'`,
  ({ table }) => `SELECT u.* FROM unnest($1::text[], $2::int[]) AS u(name, n) JOIN ${table} t ON t.name = u.name`,
  ({ table, other, key }) =>
    `WITH RECURSIVE tree AS (SELECT id, ${key}, 1 AS depth FROM ${other} WHERE id = $1 UNION ALL SELECT c.id, ` +
    `c.${key}, tree.depth + 1 FROM ${other} c JOIN tree ON c.${key} = tree.id) SELECT * FROM tree, ${table} LIMIT 100`,
  ({ table, field }) => `SELECT EXISTS (SELECT 1 FROM ${table} WHERE ${field} = $1 AND id <> $2) AS "exists"`,
]

const WRITES: readonly Shape[] = [
  ({ table, field }) => `INSERT INTO ${table} (${field}, created_at) VALUES ($1, now()) RETURNING id`,
  ({ table, field }) =>
    `insert into "${table}" ("${field}", "a", "b", "c") values ($1, $2, $3, default), ($4, $5, $6, default) ` +
    `on conflict ("${field}") do update set "a" = excluded."a" returning "id"`,
  ({ table, field }) => `UPDATE "${table}" SET "${field}" = $1, "updatedAt" = $2 WHERE "id" = $3`,
  ({ table }) => `DELETE FROM ${table} WHERE id = $1`,
  ({ table }) => `SELECT * FROM ${table} WHERE state = 'queued' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED`,
  ({ table }) => `WITH gone AS (DELETE FROM ${table} WHERE expires_at < now() RETURNING *) SELECT count(*) FROM gone`,
  ({ table }) => `SELECT nextval('${table}_id_seq')`,
  () => 'BEGIN',
  () => 'COMMIT',
]

const statements = (shapes: readonly Shape[]) => NAMES.flatMap((names) => shapes.map((shape) => shape(names)))

/** Microseconds per statement: the median of the rounds for each, so that a busy machine counts less. */
function measure(list: readonly string[], rounds: number): number[] {
  return list.map((sql) => {
    const times: number[] = []
    for (let round = 0; round < rounds; round++) {
      const started = process.hrtime.bigint()
      for (let i = 0; i < 100; i++) classify(sql)
      times.push(Number(process.hrtime.bigint() - started) / 100_000)
    }
    return times.sort((a, b) => a - b)[rounds >> 1] ?? 0
  })
}

function report(name: string, list: readonly string[], rounds: number): void {
  const sorted = measure(list, rounds).sort((a, b) => a - b)
  const mean = sorted.reduce((sum, micros) => sum + micros, 0) / sorted.length
  const at = (share: number) => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(2)
  const length = Math.round(list.reduce((sum, sql) => sum + sql.length, 0) / list.length)
  console.log(
    `${name.padEnd(7)} ${String(list.length).padStart(4)} statements of ${String(length).padStart(4)} characters:` +
      ` mean ${mean.toFixed(2)} µs, p50 ${at(0.5)}, p95 ${at(0.95)}, max ${at(1)}`
  )
}

const rounds = Number(process.argv[2] ?? 50)
const reads = statements(READS)
const writes = [...new Set(statements(WRITES))]
measure([...reads, ...writes], 20) // warm, as a serving process is
report('reads', reads, rounds)
report('writes', writes, rounds)
report('all', [...reads, ...writes], rounds)
const long = `SELECT * FROM t WHERE id IN (${Array.from({ length: 20_000 }, (_, i) => i).join(', ')})`
report('long', [long], 5)
const wrong = [...reads.filter((sql) => classify(sql) !== 'read'), ...writes.filter((sql) => classify(sql) === 'read')]
for (const sql of wrong) console.log(`not as expected: ${sql}`)
