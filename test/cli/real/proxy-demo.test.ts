// `pgherd proxy --demo` on the servers that it starts: clients stay connected through the failover that a key makes, and nothing is left.

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import pg from 'pg'
import { commandOf } from '../../../src/cli/args.js'
import { demo } from '../../../src/cli/demo.js'
import { VERSION } from '../../../src/version.js'
import { bareEnvironment, PROGRAM, pgherd, start } from '../../support/cli.js'
import { eventually } from '../../support/pools.js'
import { missingTmux, Terminal } from '../../support/tmux.js'

const LISTENS = /listens on 127\.0\.0\.1:(\d+)\./

async function clientOf(port: number): Promise<pg.Client> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'app', database: 'app' })
  client.on('error', () => {})
  await client.connect()
  return client
}

describe('pgherd proxy --demo', () => {
  it('makes a failover by a key, brings the old primary back by another, and ends', async () => {
    const wanted = commandOf(['proxy', '--demo', '--listen', '127.0.0.1:0'])
    assert.ok(wanted.kind === 'proxy')
    let out = ''
    let press = (_: string) => {}
    const ended = demo(wanted, {
      output: { write: (text: string) => (out += text) },
      environment: { PGHOST: '203.0.113.1', DATABASE_URL: 'postgres://203.0.113.1/none' },
      version: VERSION,
      signals: () => {},
      keys: (listener) => {
        press = listener
      },
    })
    const shows = (pattern: RegExp) => eventually(`it says ${pattern}:\n${out}`, () => pattern.test(out), 30_000)
    try {
      await Promise.race([shows(LISTENS), ended])
      const client = await clientOf(Number(LISTENS.exec(out)?.[1]))
      await client.query('create table kept (a int)')
      await client.query('insert into kept values (1)')
      press('f')
      press('f')
      await shows(/that has to wait/)
      await shows(/n1 takes writes/)
      await shows(/the proxy sends writes to n1/)
      await client.query('insert into kept values (2)')
      assert.deepEqual((await client.query('select a from kept order by a')).rows, [{ a: 1 }, { a: 2 }])
      await shows(/n2 follows n1/)
      press('r')
      await shows(/n0 follows n1/)
      const console = await clientOf(Number(LISTENS.exec(out)?.[1]))
      await console.end()
      await client.end()
    } finally {
      press('q')
    }
    assert.equal(await ended, 0)
    for (const line of out.split('\n')) assert.ok(line.length <= 80, line)
  })

  it('needs no terminal: SIGTERM ends it, and leaves nothing', async () => {
    const running = start(['proxy', '--demo', '--listen', '127.0.0.1:0'])
    try {
      await running.shows(LISTENS)
      assert.match(running.out(), /SIGTERM or Ctrl-C ends/)
      assert.doesNotMatch(running.out(), /Keys:/)
      const own = () => readdirSync(tmpdir()).filter((name) => name.startsWith(`pgherd-test-${running.child.pid}-`))
      assert.equal(own().length, 1)
      const client = await clientOf(Number(LISTENS.exec(running.out())?.[1]))
      assert.equal((await client.query('select 1 as one')).rows[0].one, 1)
      running.child.kill('SIGTERM')
      const { code, err } = await running.ran
      assert.deepEqual([code, err], [0, ''])
      await client.end().catch(() => {})
      await eventually('its directory is removed', () => own().length === 0)
    } finally {
      running.child.kill('SIGKILL')
    }
  })

  it('ends while it starts, too', async () => {
    const running = start(['proxy', '--demo', '--listen', '127.0.0.1:0'])
    await running.shows(/starts a primary/)
    running.child.kill('SIGINT')
    assert.equal((await running.ran).code, 0)
    const own = () => readdirSync(tmpdir()).filter((name) => name.startsWith(`pgherd-test-${running.child.pid}-`))
    await eventually('its directory is removed', () => own().length === 0)
  })

  it('without PostgreSQL it says so in a line: exit code 2', async () => {
    const { code, err } = await pgherd(['proxy', '--demo'], { PGHERD_TEST_PGBIN: '/nowhere' })
    assert.deepEqual([code, err], [2, 'pgherd: PGHERD_TEST_PGBIN: there is no postgres in /nowhere\n'])
  })
})

describe('pgherd proxy --demo in 80 columns', () => {
  let terminal: Terminal | undefined
  before(async function () {
    const missing = await missingTmux()
    if (missing === null) return
    console.log(`    skipped: ${missing}`)
    this.skip()
  })
  after(() => terminal?.close())

  it('takes keys, and gives the terminal back', async () => {
    const command = `"${process.execPath}" "${PROGRAM}" proxy --demo --listen 127.0.0.1:0`
    terminal = await Terminal.open(`${command}; stty -a | grep -ow -- "-*icanon"`, 80, 40, bareEnvironment())
    await terminal.shows(/q {2}or Ctrl-C ends all of it[\s\S]*sends writes to n0/, 60_000)
    await terminal.press('f')
    await terminal.shows(/n2 follows n1/)
    await terminal.press('r')
    await terminal.shows(/n0 follows n1/)
    await terminal.press('C-c')
    await terminal.shows(/n0 follows n1\nicanon\n\[exit 0\]/)
  })
})
