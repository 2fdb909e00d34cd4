// The program that parseApart() starts: parses the text on its standard input that many times, and prints the
// microseconds of each run as JSON, or in words how the first failure looked.

import { readFileSync } from 'node:fs'
import { loadGrammar } from './grammar.js'
import { timed } from './race.js'

const text = readFileSync(0, 'utf8')
const grammar = await loadGrammar()
if (typeof grammar === 'string') console.log(grammar)
else {
  const started = performance.now()
  try {
    const times = Array.from({ length: Number(process.argv[2]) }, () => timed([text], grammar.parse))
    console.log(JSON.stringify(times))
  } catch (error) {
    console.log(`${error}, after ${(performance.now() - started).toFixed(1)} ms`)
  }
}
