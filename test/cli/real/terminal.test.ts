// pgherd in a real terminal emulator, through a failover: what a person would see on the screen, at which size, in which colours,
// and how the terminal is left behind.

import assert from 'node:assert/strict'
import { bareEnvironment, PROGRAM, urlOf } from '../../support/cli.js'
import { type Cluster, startCluster } from '../../support/cluster.js'
import { keyOf } from '../../support/pools.js'
import { missingTmux, Terminal } from '../../support/tmux.js'

describe('pgherd in a terminal', () => {
  let cluster: Cluster
  const terminals: Terminal[] = []
  const key = (index: number) => keyOf(cluster, index)

  before(async function () {
    const missing = await missingTmux()
    if (missing !== null) {
      console.log(`    skipped: ${missing}`)
      this.skip()
    }
    cluster = await startCluster({ replicas: 2 })
    await cluster.streaming(0, 2)
  })
  after(() => cluster?.destroy())
  afterEach(() => Promise.all(terminals.splice(0).map((terminal) => terminal.close())))

  async function run(words: string, columns: number, rows: number, env: NodeJS.ProcessEnv = {}): Promise<Terminal> {
    const command = `"${process.execPath}" "${PROGRAM}" ${words}`
    const terminal = await Terminal.open(command, columns, rows, bareEnvironment(env))
    terminals.push(terminal)
    return terminal
  }

  it('status in 80 columns: no line is broken, and colours tell', async () => {
    const terminal = await run(`status "${urlOf(cluster, 'monitor')}"`, 80, 24)
    const screen = await terminal.shows(/\[exit 0\]/)
    assert.match(screen, new RegExp(`^ {2}${key(0)} +primary +up`, 'm'))
    assert.match(screen, new RegExp(`^ {2}${key(1)} +replica +up +\\d+ ms +\\S+ k?B +0/[0-9A-F]+ +1`, 'm'))
    assert.match(screen, /^Writable\. 2 of 2 replicas serve reads\.$/m)
    const painted = await terminal.painted()
    assert.match(painted, /\^\[32mup/)
    assert.match(painted, /\^\[[\d;]*32m[^\n]*Writable/)
  })

  it('status with NO_COLOR: the same words, not one escape', async () => {
    const terminal = await run(`status "${urlOf(cluster, 'monitor')}"`, 80, 24, { NO_COLOR: '1' })
    await terminal.shows(/Writable\. 2 of 2 replicas serve reads/)
    assert.doesNotMatch(await terminal.painted(), /\^/)
  })

  it('watch is drawn in place, fits a smaller window, and gives the terminal back', async () => {
    const terminal = await run(`watch "${urlOf(cluster, 'monitor')}"`, 120, 30)
    // A screen may be looked at while it is drawn, so what is awaited is all that is asserted.
    await terminal.shows(
      /^monitor@[\s\S]*\bfound by\n[\s\S]*Writable\. 2 of 2 replicas serve reads[\s\S]*q or Ctrl-C ends this$/
    )
    assert.deepEqual([await terminal.fact('alternate_on'), await terminal.fact('cursor_flag')], ['1', '0'])

    await terminal.resize(60, 20)
    const narrow = await terminal.shows(
      /^ {2}node +role +state +lag ≤ +behind(?: +position)?\n[\s\S]*Writable\. 2 of 2 replicas serve reads[\s\S]*q or Ctrl-C ends this$/m
    )
    for (const line of narrow.split('\n')) assert.ok(line.length <= 60, line)

    await terminal.press('q')
    const left = await terminal.shows(/\[exit 0\]/)
    assert.match(left, /is the primary, timeline 1\n/, 'what was last seen stays')
    const facts = ['alternate_on', 'cursor_flag', 'wrap_flag'] as const
    assert.deepEqual(await Promise.all(facts.map((fact) => terminal.fact(fact))), ['0', '1', '1'])
  })

  for (const columns of [60, 40, 30]) {
    it(`watch in ${columns} columns: no line is written over its own end`, async () => {
      const terminal = await run(`watch "${urlOf(cluster, 'monitor')}"`, columns, 30)
      const screen = await terminal.shows(/Writable\. 2 of 2[\s\S]*q or Ctrl-C ends this$/)
      // In a terminal that does not break lines the last column has the last character of what is too long.
      assert.match(screen.replace(/\s+/g, ' '), /system identifier \d+ · PostgreSQL [\d.]+ · epoch 1 node role state/)
      assert.match(screen, /^ {2}\S+ +primary +up/m)
      assert.match(screen.replace(/\s+/g, ' '), new RegExp(`${key(0)} is the primary, timeline 1 `))
    })
  }

  it('a shell stops it with Ctrl-Z and gets its terminal back; fg goes on; Ctrl-C ends it with 130', async () => {
    const terminal = await Terminal.open('bash --norc --noprofile -i', 80, 24, bareEnvironment())
    terminals.push(terminal)
    await terminal.type(`"${process.execPath}" "${PROGRAM}" watch "${urlOf(cluster, 'monitor')}"; echo "code $?"`)
    await terminal.shows(/Writable/)
    await terminal.press('C-z')
    await terminal.shows(/Stopped/)
    assert.deepEqual([await terminal.fact('alternate_on'), await terminal.fact('cursor_flag')], ['0', '1'])
    await terminal.type('fg; echo "ended $?"')
    await terminal.shows(/^Writable[\s\S]*q or Ctrl-C ends this$/m)
    await terminal.press('C-c')
    await terminal.shows(/ended 130/)
    assert.deepEqual([await terminal.fact('alternate_on'), await terminal.fact('cursor_flag')], ['0', '1'])
  })

  it('watch through a failover: loss, no primary, take-over, the old primary back as a replica', async () => {
    const terminal = await run(`watch "${urlOf(cluster, 'monitor')}"`, 80, 30)
    await terminal.shows(/Writable\. 2 of 2 replicas serve reads/)

    await cluster.kill(0)
    await terminal.shows(/^Not writable: no server is the primary\.$/m)
    await terminal.shows(new RegExp(`^ {2}${key(0)} +– +down .*\n {2}└ connect ECONNREFUSED`, 'm'))
    await terminal.shows(new RegExp(`^ {2}\\d\\d:\\d\\d:\\d\\d\\.\\d{3} {2}${key(0)} is down: `, 'm'))
    await terminal.shows(/there is no primary: writes wait$/m)
    assert.match(await terminal.painted(), /\^\[[\d;]*31m[^\n]*Not writable/)

    await cluster.promote(1)
    await terminal.shows(new RegExp(`^ {2}${key(1)} +primary +up .* 2 `, 'm'))
    await terminal.shows(/^Writable\. /m)
    await terminal.shows(new RegExp(`${key(1)} has taken over from ${key(0)} after \\d`))
    const log = await terminal.shows(new RegExp(`${key(1)} is the primary, timeline 2, epoch 2$`, 'm'))
    assert.equal(log.split('\n').filter((line) => line.startsWith('  node ')).length, 1, 'drawn in place')

    await cluster.follow(2, 1)
    await cluster.follow(0, 1).catch(() => cluster.reclone(0, 1))
    await terminal.shows(/^Writable\. 2 of 2 replicas serve reads\.$/m)
    await terminal.shows(new RegExp(`^ {2}${key(0)} +replica +up`, 'm'))
    await terminal.shows(new RegExp(`${key(0)} is a replica`))
  })
})
