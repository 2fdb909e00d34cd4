// The examples that run the proxy: their files are such as the proxy reads, their commands such as it takes, and their times go together.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { commandOf } from '../../src/cli/args.js'
import { type ProxyWanted, wantedBy } from '../../src/cli/proxy-args.js'
import { fileLayer, settle } from '../../src/cli/proxy-settings.js'

const contents = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../../../examples/proxy/${name}`, import.meta.url)), 'utf8')
const wantedIn = (text: string): ProxyWanted => wantedBy(settle([fileLayer(text)]))

/** `["a", "b"]` behind the first match. */
function listBehind(text: string, pattern: RegExp): readonly string[] {
  const [, list = ''] = pattern.exec(text) ?? []
  return JSON.parse(list) as string[]
}

function seconds(text: string, pattern: RegExp): number {
  const [, number] = pattern.exec(text) ?? []
  assert.ok(number !== undefined, String(pattern))
  return Number(number)
}

const CONFIG = '/etc/pgherd/pgherd.ini'

function takesTheFile(words: readonly string[]): void {
  const command = commandOf(words)
  assert.ok(command.kind === 'proxy', JSON.stringify(command))
  assert.equal(command.config, CONFIG)
}

describe('the examples of the proxy', () => {
  const file = wantedIn(contents('pgherd.ini'))

  it('pgherd.ini says what the proxy reads, and holds no password', () => {
    assert.deepEqual(file.listen, { host: '127.0.0.1', port: 6432 })
    assert.doesNotMatch(contents('pgherd.ini'), /:\/\/[^@/\s]*:/)
  })

  it('Dockerfile: instructions in their form, a user that is not root, the command of the proxy', () => {
    const text = contents('Dockerfile')
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    for (const line of lines) assert.match(line, /^(?:FROM|WORKDIR|ENV|RUN|USER|EXPOSE|STOPSIGNAL|ENTRYPOINT|CMD) \S/)
    assert.match(lines[0] ?? '', /^FROM node:\d+/)
    assert.match(text, /^USER node$/m)
    const [program, ...words] = [...listBehind(text, /^ENTRYPOINT (.*)$/m), ...listBehind(text, /^CMD (.*)$/m)]
    assert.match(program ?? '', /\/pgherd$/)
    takesTheFile(words)
  })

  it('sidecar.yaml: its file is one of the proxy, its container takes it and ends after the transactions', () => {
    const text = contents('sidecar.yaml')
    const lines = text.split('\n')
    for (const line of lines) assert.match(line, /^(?: {2})*[^\s].*$|^$/, line)
    const from = lines.indexOf('  pgherd.ini: |') + 1
    assert.ok(from > 0)
    const to = lines.findIndex((line, i) => i >= from && !line.startsWith('    '))
    const wanted = wantedIn(lines.slice(from, to).join('\n'))
    assert.equal(wanted.listen.host, '127.0.0.1')
    takesTheFile(['proxy', ...listBehind(text, /^ *args: (.*)$/m)])
    assert.ok(seconds(text, /terminationGracePeriodSeconds: (\d+)/) * 1000 > wanted.drainMillis)
    assert.equal(seconds(text, /containerPort: (\d+)/), wanted.metrics?.port)
    assert.equal(seconds(text, /127\.0\.0\.1:(\d+)\/shop/), wanted.listen.port)
    assert.match(text, /^ {10}restartPolicy: Always$/m)
  })

  it('pgherd.service: its command is one of the proxy, and it is stopped after the transactions', () => {
    const text = contents('pgherd.service')
    for (const line of text.split('\n')) assert.match(line, /^(?:$|#.*|\[\w+\]|[A-Z]\w+=\S.*)$/, line)
    const [, program = '', words = ''] = /^ExecStart=(\S+) (.*)$/m.exec(text) ?? []
    assert.match(program, /\/pgherd$/)
    takesTheFile(words.split(' '))
    assert.match(text, /^ExecReload=\/bin\/kill -HUP \$MAINPID$/m)
    assert.ok(seconds(text, /^TimeoutStopSec=(\d+)$/m) * 1000 > file.drainMillis)
  })
})
