// Which settings are followed, and what makes one session's settings those of another.

import assert from 'node:assert/strict'
import {
  asSettings,
  difference,
  NO_SETTINGS,
  setting,
  settingOf,
  startupSettings,
  withMade,
} from '../../src/proxy/session/settings.js'

type Row = readonly [string, string | null, (string | null)?]

/** Text, the statement that is kept (null: back to the start; absent: not followed), and its value. */
const FOLLOWED: readonly Row[] = [
  ["SET client_min_messages TO 'warning'", "SET client_min_messages TO 'warning'", 'warning'],
  ['set standard_conforming_strings = on', 'SET standard_conforming_strings TO on', 'on'],
  ['SET extra_float_digits = 3;', 'SET extra_float_digits TO 3', '3'],
  ['set intervalstyle = iso_8601', 'SET intervalstyle TO iso_8601', 'iso_8601'],
  ["SET SESSION timezone TO 'UTC'", "SET TimeZone TO 'UTC'", 'UTC'],
  ["SET TIME ZONE 'Europe/Berlin'", "SET TimeZone TO 'Europe/Berlin'", 'Europe/Berlin'],
  ['set time zone -7', 'SET TimeZone TO -7', null],
  ["SET NAMES 'latin1'", "SET client_encoding TO 'latin1'", 'latin1'],
  ['set search_path to "$user", public', 'SET search_path TO "$user", public', null],
  ["set application_name = 'it''s' -- mine", "SET application_name TO 'it''s'", "it's"],
  ['/* why */ set jit to off', 'SET jit TO off', 'off'],
  ["set pgherd.route = 'replica'", "SET pgherd.route TO 'replica'", 'replica'],
  ['set enable_seqscan = off', 'SET enable_seqscan TO off', 'off'],
  ["select set_config('TimeZone', 'UTC', false)", setting('timezone', 'UTC'), 'UTC'],
  ["SELECT pg_catalog.set_config('search_path', '', false)", setting('search_path', ''), ''],
  ['reset work_mem', null, null],
  ['set work_mem to default', null, null],
  ['reset time zone', null, null],
  ['SET TIME ZONE LOCAL', null, null],
]

const PINS: readonly string[] = [
  'set role other',
  'set session authorization other',
  'set app.user = 5',
  'set local work_mem = 5',
  'set session characteristics as transaction read only',
  'set transaction read only',
  "select set_config('app.user', '1', false)",
  "select set_config('work_mem', '1MB', true)",
  "select set_config('work_mem', current_setting('x'), false)",
  "select set_config('work_mem', '1MB', false), 1",
  'set work_mem = (select 1)',
  "set work_mem = '1MB'; select 1",
  'set work_mem',
  'set constraints all deferred',
  'reset role',
  'listen x',
  'select 1',
  '',
]

describe('settings of a client', () => {
  for (const [text, statement, value = null] of FOLLOWED) {
    it(`followed: ${text}`, () => {
      const made = settingOf(text)
      assert.ok(made !== null)
      assert.deepEqual([made.statement, made.value], [statement, value])
    })
  }
  it('followed: reset all', () =>
    assert.deepEqual(settingOf('reset all'), { name: null, statement: null, value: null }))
  for (const text of PINS) it(`not followed: ${text}`, () => assert.equal(settingOf(text), null))

  const a = asSettings(new Map([['work_mem', '5MB']]))
  const set = (name: string, statement: string | null) => ({ name, statement, value: null })

  it('what differs is set, and what is too much goes', () => {
    assert.equal(difference(a, a), null)
    assert.equal(difference(NO_SETTINGS, a), setting('work_mem', '5MB'))
    assert.equal(difference(a, NO_SETTINGS), 'RESET work_mem')
    const b = withMade(a, [set('jit', 'SET jit TO off')], NO_SETTINGS)
    assert.equal(difference(a, b), 'SET jit TO off')
    assert.equal(difference(b, new Map([['jit', 'SET jit TO on']])), 'RESET work_mem; SET jit TO on')
  })
  it('RESET goes back to the value of the start', () => {
    const later = withMade(a, [set('work_mem', 'SET work_mem TO 9')], a)
    assert.equal(later.get('work_mem'), 'SET work_mem TO 9')
    assert.equal(withMade(later, [set('work_mem', null)], a).get('work_mem'), a.get('work_mem'))
    assert.deepEqual(withMade(later, [{ name: null, statement: null, value: null }], a), a)
  })
  it('what changes nothing gives the same object', () => assert.equal(withMade(a, [set('jit', null)], a), a))
  it('values with quotes and backslashes are literals', () => {
    assert.equal(setting('x', "a'b"), "SET x TO 'a''b'")
    assert.equal(setting('search_path', 'a, b'), "SELECT pg_catalog.set_config('search_path', 'a, b', false)")
    assert.match(setting('x', 'a\\'), /E'a\\\\'/)
  })
  it('the startup packet beats its options', () => {
    const values = startupSettings(
      new Map([
        ['user', 'u'],
        ['options', '-c work_mem=1MB -c jit=off'],
        ['jit', 'on'],
        ['DateStyle', 'ISO'],
      ])
    )
    assert.deepEqual(
      [...(values ?? [])],
      [
        ['work_mem', '1MB'],
        ['jit', 'on'],
        ['datestyle', 'ISO'],
      ]
    )
  })
})
