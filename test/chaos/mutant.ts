// The product with a mistake made on purpose: a copy of its build in which a text that occurs exactly once is another one.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Pool } from '../../src/index.js'

export interface Mistake {
  /** Below src/, as it was compiled. */
  readonly file: string
  readonly right: string
  readonly wrong: string
}

const BUILD = fileURLToPath(new URL('../../', import.meta.url))

/** The Pool of another build, for example of an older version: the directory that has its src/index.js. */
export async function productIn(directory: string): Promise<typeof Pool> {
  const path = join(resolve(directory), 'src', 'index.js')
  const { Pool: other }: { Pool: typeof Pool } = await import(pathToFileURL(path).href)
  return other
}

/** What `use` gives, called with the Pool that makes these mistakes. */
export async function withMistakes<T>(
  mistakes: readonly Mistake[],
  use: (mutant: typeof Pool) => Promise<T>
): Promise<T> {
  // Beside the original, so that it finds the same pg.
  const copy = mkdtempSync(join(BUILD, 'mutant-'))
  try {
    cpSync(join(BUILD, 'src'), copy, { recursive: true })
    for (const mistake of mistakes) make(copy, mistake)
    const { Pool: mutant }: { Pool: typeof Pool } = await import(join(copy, 'index.js'))
    return await use(mutant)
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

function make(copy: string, { file, right, wrong }: Mistake): void {
  const path = join(copy, file)
  const parts = readFileSync(path, 'utf8').split(right)
  if (parts.length !== 2) throw new Error(`${file} has '${right}' ${parts.length - 1} times`)
  writeFileSync(path, parts.join(wrong))
}
