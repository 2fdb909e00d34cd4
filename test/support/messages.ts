// What a server sends, as bytes.

/** One message: a letter, a length that counts itself, and a body. */
export function message(type: string, body: Buffer | string = ''): Buffer {
  const bytes = Buffer.from(body)
  const header = Buffer.alloc(5)
  header.write(type, 0, 'latin1')
  header.writeUInt32BE(bytes.length + 4, 1)
  return Buffer.concat([header, bytes])
}

/** The fields of an ErrorResponse or NoticeResponse, in the order given. */
export function fields(all: Readonly<Record<string, string>>): string {
  return `${Object.entries(all)
    .map(([field, text]) => `${field}${text}\0`)
    .join('')}\0`
}

export function errorMessage(all: Readonly<Record<string, string>>): Buffer {
  return message('E', fields(all))
}

export function noticeMessage(all: Readonly<Record<string, string>>): Buffer {
  return message('N', fields(all))
}

/** A row of these columns. */
export function dataRow(...columns: readonly (string | null)[]): Buffer {
  const parts = columns.flatMap((column) => {
    const length = Buffer.alloc(4)
    length.writeInt32BE(column === null ? -1 : Buffer.byteLength(column))
    return [length, Buffer.from(column ?? '')]
  })
  const count = Buffer.alloc(2)
  count.writeInt16BE(columns.length)
  return message('D', Buffer.concat([count, ...parts]))
}

export const authenticated = message('R', Buffer.from([0, 0, 0, 0]))
export const ready = message('Z', 'I')

export function inPiecesOf(size: number, bytes: Buffer): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
}
