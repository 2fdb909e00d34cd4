// npm run test:package: packs the package, installs it beside the tools that its users have, and runs each of them. Needs the
// registry, so it is no part of npm test; what needs none is in test/package.test.ts.

import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const { name, version, peerDependencies } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
const tarball = `${name}-${version}.tgz`
const home = mkdtempSync(join(tmpdir(), 'pgherd-matrix-'))

/** Colours stand between the words that are looked for. */
const PLAIN = { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' }

/** What the program prints; throws, with all that it printed, where it fails. */
function run(program, ...words) {
  try {
    return execFileSync(program, words, {
      cwd: home,
      encoding: 'utf8',
      env: PLAIN,
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim()
  } catch (error) {
    throw new Error(`${program} ${words.join(' ')}\n${error.stdout}\n${error.stderr}`)
  }
}

function bundle(entry) {
  run('npx', 'esbuild', `${entry}.mjs`, '--bundle', '--minify', '--platform=node', `--outfile=${entry}.cjs`)
  return `${run('node', `${entry}.cjs`)}, ${Math.round(statSync(join(home, `${entry}.cjs`)).size / 1000)} kB`
}

function demand(what, found, expected) {
  const [shown] = expected.exec(found) ?? []
  if (shown === undefined) throw new Error(`${what} printed ${found}`)
  console.log(`${what}: ${shown}`)
}

const OLD = [
  '--module',
  'commonjs',
  '--moduleResolution',
  'node10',
  '--esModuleInterop',
  'false',
  '--strict',
  '--noEmit',
]
try {
  execFileSync('npm', ['pack', '--pack-destination', home], { cwd: root, stdio: 'ignore' })
  cpSync(`${root}test/package`, home, { recursive: true })
  run('npm', 'install', '--no-audit', '--no-fund', `./${tarball}`)
  demand('esbuild, the whole', bundle('bundled'), /^true true, \d+ kB$/)
  demand('esbuild, pgherd/classify', bundle('alone'), /^read, \d\d kB$/)
  demand('Jest', run('npx', 'jest', '--ci', 'jest.test.js') || 'passed', /passed/)
  demand('Vitest', run('npx', 'vitest', 'run', 'vitest.spec.mjs'), /Tests +1 passed/)
  demand(
    'TypeScript 5, node10',
    run('npx', 'tsc', ...OLD, '--target', 'es2022', '--types', 'node', 'old.ts') || 'no error',
    /^no error$/
  )
  demand('publint', run('npx', 'publint', tarball), /All good/)
  demand('attw', run('npx', 'attw', '--no-color', '--no-emoji', tarball), /No problems found/)
  const [floor] = /[\d.]+/.exec(peerDependencies.pg) ?? []
  run('npm', 'install', '--no-audit', '--no-fund', `pg@${floor}.0`)
  demand(`Jest, pg ${floor}`, run('npx', 'jest', '--ci', 'jest.test.js') || 'passed', /passed/)
} finally {
  rmSync(home, { recursive: true, force: true })
}
