// The letters of messages, as bytes. The same letter means one thing from a client and another from a server.
// https://www.postgresql.org/docs/current/protocol-message-formats.html

const at = (letter: string): number => letter.charCodeAt(0)

/** What a client sends. */
export const Front = {
  bind: at('B'),
  close: at('C'),
  copyData: at('d'),
  copyDone: at('c'),
  copyFail: at('f'),
  describe: at('D'),
  execute: at('E'),
  flush: at('H'),
  functionCall: at('F'),
  parse: at('P'),
  password: at('p'),
  query: at('Q'),
  sync: at('S'),
  terminate: at('X'),
} as const

/** What a server sends. */
export const Back = {
  authentication: at('R'),
  keyData: at('K'),
  bindComplete: at('2'),
  closeComplete: at('3'),
  commandComplete: at('C'),
  copyBoth: at('W'),
  copyData: at('d'),
  copyDone: at('c'),
  copyIn: at('G'),
  copyOut: at('H'),
  dataRow: at('D'),
  emptyQuery: at('I'),
  error: at('E'),
  functionResult: at('V'),
  negotiate: at('v'),
  noData: at('n'),
  notice: at('N'),
  notification: at('A'),
  parameterDescription: at('t'),
  parameterStatus: at('S'),
  parseComplete: at('1'),
  portalSuspended: at('s'),
  ready: at('Z'),
  rowDescription: at('T'),
} as const

export const HEADER_BYTES = 5

export function int32(bytes: Uint8Array, from: number): number {
  const high = ((bytes[from] as number) << 24) | ((bytes[from + 1] as number) << 16)
  return high | ((bytes[from + 2] as number) << 8) | (bytes[from + 3] as number)
}

/** Behind the zero of the string that begins at `from`; -1: it does not end before `to`. */
export function behindString(bytes: Uint8Array, from: number, to: number): number {
  const zero = bytes.indexOf(0, from)
  return zero === -1 || zero >= to ? -1 : zero + 1
}
