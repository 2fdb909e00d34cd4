// Errors of a real server, as the tap in front of pg's parser knows them: plain, under TLS, in any language, in pipelines, with COPY.

import assert from 'node:assert/strict'
import pg from 'pg'
import QueryStream from 'pg-query-stream'
import { failureOf } from '../../src/core/cluster/failure.js'
import type { Spoken } from '../../src/core/cluster/sqlstates.js'
import { sourceOf, tap } from '../../src/pg/tap.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { failed } from '../support/failed.js'

function spoken(error: unknown, client: object): Spoken {
  const source = sourceOf(error, client, 0)
  assert.equal(typeof source, 'object', `${String(error)} is ${String(source)}`)
  return source as Spoken
}

for (const tls of [false, true]) {
  describe(`who made an error, ${tls ? 'under TLS' : 'plain'}`, () => {
    let cluster: Cluster
    before(async () => {
      cluster = await startCluster({ replicas: 0, tls })
    })
    after(() => cluster.destroy())
    const open = new Set<pg.Client>()
    afterEach(async () => {
      for (const client of open) await client.end().catch(() => {})
      open.clear()
    })

    function made(more: object = {}): pg.Client {
      const client = new pg.Client({ ...cluster.config(0, 'postgres'), ...more })
      client.on('error', () => {})
      tap(client, cluster)
      open.add(client)
      return client
    }
    async function connected(more: object = {}): Promise<pg.Client> {
      const client = made(more)
      await client.connect()
      return client
    }

    it('severity and routine, of each statement its own', async () => {
      const client = await connected()
      const raise = "do $$ begin raise exception 'x' using errcode = '57P01'; end $$"
      for (const [text, expected] of [
        ['select nope', ['42703', 'ERROR', 'errorMissingColumn', false]],
        ['select 1/0', ['22012', 'ERROR', 'int4div', false]],
        [raise, ['57P01', 'ERROR', 'exec_stmt_raise', true]],
        ['selec 1', ['42601', 'ERROR', 'scanner_yyerror', false]],
      ] as const) {
        const { code, severity, routine, nested } = spoken(await failed(client.query(text)), client)
        assert.deepEqual([code, severity, routine, nested], expected)
      }
    })

    it('in another language the severity is the same', async function () {
      const client = await connected()
      await client.query("set lc_messages = 'de_DE.UTF-8'").catch(() => {})
      const error = (await failed(client.query('select 1/0'))) as pg.DatabaseError
      assert.equal(spoken(error, client).severity, 'ERROR')
      if (error.severity === 'ERROR') {
        console.log('      skipped: this PostgreSQL has no German messages; pg/frames.test.ts has them')
        this.skip()
      }
    })

    it('a pipeline with notices in between', async () => {
      const client = await connected({ pipeline: true })
      const notice = "do $$ begin raise warning 'w' using errcode = '57P02'; raise notice 'n'; end $$"
      const texts = [notice, 'select nope', notice, 'select 1', 'select 1/0', notice, 'select * from nope']
      const answers = await Promise.allSettled(texts.map((text) => client.query(text)))
      const codes = answers.map((each) => (each.status === 'rejected' ? spoken(each.reason, client).routine : null))
      assert.deepEqual(codes, [null, 'errorMissingColumn', null, null, 'int4div', null, 'parserOpenTable'])
    })

    it('COPY, streams, and rows that had come before', async () => {
      const client = await connected()
      const copied = await failed(client.query('copy (select 1/(3 - i) from generate_series(1, 5) i) to stdout'))
      assert.equal(spoken(copied, client).code, '22012')
      const stream = client.query(new QueryStream('select 1/(3000 - i) from generate_series(1, 5000) i'))
      const error = await failed(
        (async () => {
          for await (const _ of stream);
        })()
      )
      assert.equal(spoken(error, client).code, '22012')
      const big = await failed(client.query("select repeat('x', 1000), 1/(3000 - i) from generate_series(1, 5000) i"))
      assert.equal(spoken(big, client).code, '22012')
    })

    it('while idle: 57P01, FATAL, and the connection that ends then', async () => {
      const client = await connected()
      const admin = await connected()
      const told: unknown[] = []
      client.on('error', (error) => told.push(error))
      const ended = new Promise((resolve) => client.once('end', resolve))
      await admin.query('select pg_terminate_backend($1)', [(client as unknown as { processID: number }).processID])
      await ended
      const failure = failureOf(told[0], 'idle', sourceOf(told[0], client, 0))
      assert.deepEqual(
        [failure.code, failure.severity, failure.origin, failure.accuses],
        ['57P01', 'FATAL', 'server', true]
      )
    })

    it('while connecting', async () => {
      const denied = await failed(made({ database: 'nope' }).connect())
      const failure = failureOf(denied, 'connect', sourceOf(denied, cluster, 0))
      assert.deepEqual([failure.code, failure.severity, failure.origin], ['3D000', 'FATAL', 'server'])
      const refused = await failed(made({ port: 1 }).connect())
      assert.equal(sourceOf(refused, cluster, 0), 'socket')
    })

    it('deferred constraints, at COMMIT', async () => {
      const client = await connected()
      await client.query('create temp table late (id int unique deferrable initially deferred)')
      await client.query('begin; insert into late values (1), (1)')
      const error = await failed(client.query('commit'))
      const { code, severity } = spoken(error, client)
      assert.deepEqual([code, severity], ['23505', 'ERROR'])
    })
  })
}
