// The documents that lead through the code name files: each of them is there, and no folder of src/ is left out. Reads the sources,
// not the output.

import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const textOf = (path: string) => readFileSync(join(root, path), 'utf8')
const allOf = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, found = '']) => found)

/** Everything below a folder, by its path from the root; folders end with a slash. */
function below(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}${entry.name}`
    return entry.isDirectory() ? [`${path}/`, ...below(`${path}/`)] : [path]
  })
}

const TREES = ['src/', 'test/', 'docs/'] as const
const present = TREES.flatMap((tree) => [tree, ...below(tree)])
const DOCUMENTS = [
  ...['ARCHITECTURE.md', 'CONTRIBUTING.md', 'README.md', 'SECURITY.md', 'test/README.md'],
  ...present.filter((path) => path.startsWith('docs/') && path.endsWith('.md')),
]

/** `src/...`, `test/...`, `docs/...`, and `dist/test/...js`, which is made of `test/...ts`. */
function namedIn(text: string): string[] {
  const sources = allOf(text, /(?<![\w/.-])((?:src|test|docs)\/[\w./-]*[\w/])/g)
  const built = allOf(text, /\bdist\/((?:src|test)\/[\w./-]+\.js)\b/g)
  return [...sources, ...built.map((path) => path.replace(/\.js$/, '.ts'))]
}

/** Targets of links to files of this repository, by their paths from the root. */
function linkedIn(document: string): string[] {
  const targets = allOf(textOf(document), /\]\(([^)\s#]+)[^)]*\)/g)
  return targets.filter((target) => !/^\w+:/.test(target)).map((target) => join(dirname(document), target))
}

/** `folder/file.ts`, `folder/` and `file-*.ts`, as the page of the tests names its own. */
function isOfTests(name: string): boolean {
  const pattern = new RegExp(`^test/(?:support/)?${name.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}$`)
  return present.some((path) => pattern.test(path))
}

describe('the documents that lead through the code', () => {
  for (const document of DOCUMENTS) {
    it(`${document} names only what is there`, () => {
      const missing = [...namedIn(textOf(document)), ...linkedIn(document)].filter((path) => {
        return !existsSync(join(root, path))
      })
      assert.deepEqual(missing, [])
    })
  }

  it('test/README.md names only files and folders of the tests', () => {
    const named = allOf(textOf('test/README.md'), /`((?:[\w-]+\/)*[\w*-]+(?:(?:\.[\w-]+)*\.ts|\/))`/g)
    assert.ok(named.length > 20)
    assert.deepEqual(
      named.filter((name) => name !== 'dist/' && !isOfTests(name)),
      []
    )
  })

  const architecture = textOf('ARCHITECTURE.md')
  for (const folder of present.filter((path) => path.startsWith('src/') && path.endsWith('/') && path !== 'src/')) {
    it(`ARCHITECTURE.md names ${folder}`, () => assert.ok(architecture.includes(`\`${folder}\``)))
  }

  it('ARCHITECTURE.md has the floors in their order', () => {
    const layout = architecture.slice(architecture.indexOf('| folder |'), architecture.indexOf('\nFacts rise'))
    const rows = allOf(layout, /^\| `src\/([^`]+)`/gm).filter((part) => part !== 'core/')
    const [, storeys = ''] = /const STOREYS[^=]*= \[\n(.*?)\n\]\n/s.exec(textOf('test/floors.test.ts')) ?? []
    const floors = allOf(storeys, /'([^']+)'/g).filter((part) => !/^core\/\w+\.ts$/.test(part))
    assert.deepEqual(rows, floors)
  })
})
