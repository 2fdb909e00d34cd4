// Statements of the shapes that users of node-postgres and their query builders send, over several sets of names: what
// the benchmark of classify() is run on. Every text is valid SQL, and the reads are reads without any catalogue's help.

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
  { table: 'projects', other: 'tasks', key: 'project_id', field: 'slug' },
  { table: 'patients', other: 'appointments', key: 'patient_id', field: 'last_name' },
  { table: 'warehouses', other: 'stock_movements', key: 'warehouse_id', field: 'region' },
]

type Shape = (names: Names) => string

const list = (length: number, of: (i: number) => string) => Array.from({ length }, (_, i) => of(i + 1)).join(', ')

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
  ({ table }) => `SELECT * FROM ${table} WHERE (created_at, id) < ($1, $2) ORDER BY created_at DESC, id DESC LIMIT 50`,
  ({ table, field }) => `select "id", "${field}" from "${table}" where "id" in (${list(40, (i) => `$${i}`)})`,
  ({ table, field }) =>
    `SELECT id, ts_rank(search, q) AS rank FROM ${table}, websearch_to_tsquery('english', $1) AS q ` +
    `WHERE search @@ q AND ${field} IS NOT NULL ORDER BY rank DESC LIMIT 10`,
  ({ table, other, key, field }) =>
    `-- ${table} by month\nSELECT to_char(m, 'YYYY-MM') AS month, count(o.id) AS n,\n       CASE WHEN count(o.id) = 0 ` +
    `THEN 'none' WHEN count(o.id) < 10 THEN 'few' ELSE 'many' END AS word\nFROM generate_series($1::date, $2::date, ` +
    `'1 month') AS m\nLEFT JOIN ${other} o ON date_trunc('month', o.created_at) = m\nLEFT JOIN ${table} t ON t.id = ` +
    `o.${key} AND t.${field} = $3\nGROUP BY m\nORDER BY m`,
  ({ table, other, key }) =>
    `SELECT id, 'a' AS kind FROM ${table} WHERE owner_id = $1 UNION ALL SELECT ${key}, 'b' FROM ${other} ` +
    `WHERE owner_id = $1 AND NOT archived ORDER BY 1`,
  ({ table, field }) =>
    `SELECT ${list(24, (i) => `"t0"."${field}_${i}" AS "t0_${field}_${i}"`)} FROM "${table}" "t0" ` +
    `WHERE ("t0"."id" = $1 AND "t0"."tenantId" = $2) LIMIT 1`,
  () => 'SELECT 1',
  () => 'select now()',
]

const WRITES: readonly Shape[] = [
  ({ table, field }) => `INSERT INTO ${table} (${field}, created_at) VALUES ($1, now()) RETURNING id`,
  ({ table, field }) =>
    `insert into "${table}" ("${field}", "a", "b", "c") values ($1, $2, $3, default), ($4, $5, $6, default) ` +
    `on conflict ("${field}") do update set "a" = excluded."a" returning "id"`,
  ({ other, key }) =>
    `INSERT INTO "public"."${other}" ("${key}", ${list(8, (i) => `"field_${i}"`)}) VALUES ` +
    `${list(5, (row) => `(${list(9, (i) => `$${(row - 1) * 9 + i}`)})`)} RETURNING "public"."${other}"."id"`,
  ({ table, field }) => `UPDATE "${table}" SET "${field}" = $1, "updatedAt" = $2 WHERE "id" = $3`,
  ({ table, other, key }) =>
    `UPDATE ${table} t SET n = s.n FROM (SELECT ${key}, count(*) AS n FROM ${other} GROUP BY 1) s WHERE t.id = s.${key}`,
  ({ table }) => `DELETE FROM ${table} WHERE id = $1`,
  ({ table }) => `SELECT * FROM ${table} WHERE state = 'queued' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED`,
  ({ table }) => `WITH gone AS (DELETE FROM ${table} WHERE expires_at < now() RETURNING *) SELECT count(*) FROM gone`,
  ({ table }) => `SELECT nextval('${table}_id_seq')`,
  ({ table }) => `SELECT pg_notify('${table}', $1)`,
  () => 'BEGIN',
  () => 'COMMIT',
  () => 'ROLLBACK',
  () => 'SET statement_timeout = 5000',
]

const over = (shapes: readonly Shape[]) => [...new Set(NAMES.flatMap((names) => shapes.map((shape) => shape(names))))]

export const reads: readonly string[] = over(READS)
export const writes: readonly string[] = over(WRITES)

/** A million characters: flat, but long. */
export const longList = `SELECT * FROM t WHERE id IN (${list(125_000, (i) => String(100_000 + i))})`

const DEPTH = 100_000
export const nested = `SELECT ${'('.repeat(DEPTH)}1${')'.repeat(DEPTH)}`
