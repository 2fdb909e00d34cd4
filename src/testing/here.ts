/**
 * Where this folder is: the watcher is a program beside it, and packages are resolved from here.
 *
 * The package is CommonJS and has `__filename`. This repository's own build is made of ES modules, and TypeScript lets no
 * source that may become CommonJS say import.meta: there a call site tells.
 */
import { fileURLToPath } from 'node:url'

export const HERE: string = typeof __filename === 'string' ? __filename : fileURLToPath(ownUrl())

function ownUrl(): string {
  const { prepareStackTrace } = Error
  Error.prepareStackTrace = (_, [site]) => site?.getFileName()
  try {
    return String(new Error().stack)
  } finally {
    Error.prepareStackTrace = prepareStackTrace
  }
}
