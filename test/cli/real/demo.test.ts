// npm run demo in a terminal of the usual size: its table is drawn in place, what it says at the end holds, and the terminal gets its
// cursor back.

import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { bareEnvironment } from '../../support/cli.js'
import { missingTmux, Terminal } from '../../support/tmux.js'

const DEMO = fileURLToPath(new URL('../../../examples/demo.js', import.meta.url))

describe('the demo in 80 columns', () => {
  let terminal: Terminal | undefined

  before(async function () {
    const missing = await missingTmux()
    if (missing === null) return
    console.log(`    skipped: ${missing}`)
    this.skip()
  })
  after(() => terminal?.close())

  it('draws one table in place, through a failover, and loses nothing', async () => {
    terminal = await Terminal.open(`"${process.execPath}" "${DEMO}"`, 80, 40, bareEnvironment())
    await terminal.shows(/initdb makes an empty database/)
    await terminal.shows(/^ {3}a +\S+ +primary +up +.*\n {3}b +\S+ +replica +up[\s\S]*\n {3}writes {2}\S{8}/m, 60_000)
    await terminal.shows(/kill -9 on a, the primary/)
    const live = await terminal.shows(/pool: failover from a to [bc][\s\S]* {3}a +\S+ +– +down/)
    assert.equal(live.match(/^ {3}node +address/gm)?.length, 1, live)
    const end = await terminal.shows(/\[exit \d+\]/, 60_000)
    assert.match(end, /Nothing lost\.\n\n\[exit 0\]/)
    assert.doesNotMatch(end, /^ {3}node +address/m, 'the table is taken away')
    assert.equal(await terminal.fact('cursor_flag'), '1')
  })
})
