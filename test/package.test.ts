// The package as its users get it: by import and by require, with types, and nothing that is not meant for them.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import * as imported from 'pgherd'

const root = fileURLToPath(new URL('../../', import.meta.url))
const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))

describe('package', () => {
  it('is the same by import and by require', async () => {
    const text = `
      const { Pool, classify, PgherdError } = require('pgherd')
      const pg = require('pg')
      if (!(new Pool({ host: '203.0.113.1' }) instanceof pg.Pool)) throw new Error('not a pg.Pool')
      if (Pool.name !== 'Pool' || classify('select 1') !== 'read' || typeof PgherdError !== 'function') throw new Error('names')
      console.log('required')`
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--no-warnings', '--input-type=commonjs', '-e', text],
      { cwd: root }
    )
    assert.equal(stdout.trim(), 'required')
    const required = createRequire(import.meta.url)('pgherd')
    assert.equal(required.Pool, imported.Pool)
  })

  it('exports what applications take from pg, of the same copy', () => {
    const { Client, types, DatabaseError, escapeIdentifier, escapeLiteral, Query, defaults } = imported
    assert.deepEqual([imported.Result, imported.TypeOverrides], [pg.Result, pg.TypeOverrides])
    assert.deepEqual(
      [Client, types, DatabaseError, Query, defaults],
      [pg.Client, pg.types, pg.DatabaseError, pg.Query, pg.defaults]
    )
    assert.deepEqual([escapeIdentifier, escapeLiteral], [pg.escapeIdentifier, pg.escapeLiteral])
  })

  it('is a pg module as a whole, for what takes one', async () => {
    const whole = imported.default
    assert.equal(whole.Pool, imported.Pool)
    for (const name of Object.keys(pg)) {
      if (name !== 'Pool') assert.equal(Reflect.get(whole, name), Reflect.get(pg, name), name)
    }
    assert.equal(whole.native === null, pg.native === null)
    assert.deepEqual(Object.keys(whole).includes('native'), false, 'lazy, as pg has it')
    assert.equal(createRequire(import.meta.url)('pgherd'), whole)
  })

  it('points at files that exist', () => {
    const { types, default: main } = manifest.exports['.']
    assert.ok(existsSync(`${root}${types}`) && existsSync(`${root}${main}`))
    assert.match(readFileSync(`${root}${manifest.bin.pgherd}`, 'utf8'), /^#!\/usr\/bin\/env node\n/)
  })

  it('has pg as a peer, and few dependencies', () => {
    assert.deepEqual(Object.keys(manifest.peerDependencies), ['pg'])
    assert.deepEqual(Object.keys(manifest.dependencies), ['@opentelemetry/api', 'pg-connection-string'])
  })
})
