// Makes lib/, which is what npm publishes, from nothing. The code is there once, as CommonJS in lib/cjs; both `require` and `import`
// lead to it, so that a process which uses both has one class, one AsyncLocalStorage and one of every table.

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const lib = `${root}lib/`
const require = createRequire(import.meta.url)

rmSync(lib, { recursive: true, force: true })
const tsc = fileURLToPath(new URL('./bin/tsc', new URL(`file://${require.resolve('typescript/package.json')}`)))
execFileSync(process.execPath, [tsc, '-p', `${root}tsconfig.package.json`], { stdio: 'inherit' })
writeFileSync(`${lib}cjs/package.json`, '{ "type": "commonjs" }\n')

// Declarations are read by compilers with other settings than ours: without esModuleInterop pg has no default export.
for (const file of readdirSync(`${lib}cjs`, { recursive: true, encoding: 'utf8' })) {
  if (!file.endsWith('.d.ts')) continue
  const text = readFileSync(`${lib}cjs/${file}`, 'utf8')
  const portable = text.replace(/^import (?:type )?(\w+) from 'pg';/m, "import type * as $1 from 'pg';")
  if (portable !== text) writeFileSync(`${lib}cjs/${file}`, portable)
}

// The whole is one object, which is pg with our Pool in it, as require() of pg itself gives it. Compilers ask for `default`, too.
writeFileSync(
  `${lib}index.cjs`,
  `'use strict'
const { default: pgherd } = require('./cjs/index.js')
module.exports = pgherd
module.exports.default = pgherd
for (const name of ['default', '__esModule']) {
  Object.defineProperty(pgherd, name, { value: name === 'default' ? pgherd : true, enumerable: false })
}
`
)
writeFileSync(`${lib}index.d.cts`, "export * from './cjs/index.js'\nexport { default } from './cjs/index.js'\n")
const names = Object.keys(require(`${lib}cjs/index.js`)).filter((name) => name !== 'default')
writeFileSync(
  `${lib}index.mjs`,
  `import pgherd from './index.cjs'
export const { ${names.sort().join(', ')} } = pgherd
export default pgherd
`
)
writeFileSync(
  `${lib}index.d.mts`,
  `import type { Pgherd } from './cjs/index.js'
export * from './cjs/index.js'
declare const pgherd: Pgherd
export default pgherd
`
)

// pgherd/classify: a bundle of it has the classifier alone.
writeFileSync(`${lib}classify.cjs`, "'use strict'\nexports.classify = require('./cjs/core/sql/classify.js').classify\n")
writeFileSync(
  `${lib}classify.mjs`,
  "import classifier from './cjs/core/sql/classify.js'\nexport const { classify } = classifier\n"
)
const types = "export { classify, type Intent } from './cjs/core/sql/classify.js'\n"
for (const file of ['classify.d.cts', 'classify.d.mts']) writeFileSync(`${lib}${file}`, types)

// pgherd/testing: nothing of it is in the main entry.
const testing = Object.keys(require(`${lib}cjs/testing/index.js`))
writeFileSync(`${lib}testing.cjs`, "'use strict'\nmodule.exports = require('./cjs/testing/index.js')\n")
writeFileSync(
  `${lib}testing.mjs`,
  `import testing from './cjs/testing/index.js'\nexport const { ${testing.sort().join(', ')} } = testing\n`
)
for (const file of ['testing.d.cts', 'testing.d.mts'])
  writeFileSync(`${lib}${file}`, "export * from './cjs/testing/index.js'\n")
