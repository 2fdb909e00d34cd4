// What may come from clients and from servers, how much of it is held, and how long it may be.

import { frameRules } from './framer.js'

/** A login needs no longer message: a SCRAM answer, or a password. */
const LOGIN_BYTES = 64 << 10
/** Portal and statement stand in front of a Bind: names of 63 bytes are all that a server keeps. */
const NAMES_BYTES = 2048
/** The parts of an error or a notice; PostgreSQL cuts none, and none is nearly as long. */
const SPOKEN_BYTES = 16 << 20
const WHOLE = Infinity

/** Before a client is authenticated. */
export const LOGIN_RULES = frameRules({ p: { least: WHOLE, most: LOGIN_BYTES } })

/** `mostBytes`: of a text, a Bind or a function call. */
export function clientRules(mostBytes: number): ReturnType<typeof frameRules> {
  return frameRules({
    QPF: { least: WHOLE, most: mostBytes },
    B: { least: NAMES_BYTES, most: mostBytes },
    DCE: { least: WHOLE, most: LOGIN_BYTES },
    HSX: { most: 0 },
    c: { most: 0 },
    d: {},
    f: { most: SPOKEN_BYTES },
  })
}

/** What is inspected comes whole: errors, tags, settings, states. All else passes. */
export const SERVER_RULES = frameRules({
  RSKENACv: { least: WHOLE, most: SPOKEN_BYTES },
  Z: { least: WHOLE, most: 1 },
  '123Insc': { most: 0 },
  tTDdGHWV: {},
})
