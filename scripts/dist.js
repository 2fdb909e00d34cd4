// Runs behind tsc. What is compiled for tests, examples and benchmarks says `import ... from 'pgherd'` and means the sources beside
// it, not the package that npm publishes: so dist/ is a package of that name, for itself.

import { writeFileSync } from 'node:fs'

const manifest = {
  name: 'pgherd',
  private: true,
  type: 'module',
  exports: {
    '.': './src/index.js',
    './classify': './src/core/sql/classify.js',
    './testing': './src/testing/index.js',
  },
}
writeFileSync(new URL('../dist/package.json', import.meta.url), `${JSON.stringify(manifest, null, 2)}\n`)
