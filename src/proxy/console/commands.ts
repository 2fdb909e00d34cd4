// Commands of the console: text in, values out. Words in any case, a semicolon allowed, as PgBouncer's.

export const SHOWN = [
  'nodes',
  'pools',
  'clients',
  'servers',
  'databases',
  'users',
  'routes',
  'stats',
  'lists',
  'config',
  'state',
  'version',
  'help',
] as const
export type Shown = (typeof SHOWN)[number]

/** What a process does by itself. */
export type Order =
  | { readonly kind: 'pause' | 'resume' | 'reconnect' | 'kill' }
  | { readonly kind: 'kill_client'; readonly id: number }

export type Command =
  | Order
  | { readonly kind: 'show'; readonly what: Shown }
  | { readonly kind: 'reload' }
  | { readonly kind: 'shutdown'; readonly waits: boolean }
  /** What client libraries send by themselves: SET, BEGIN and the like change nothing here. */
  | { readonly kind: 'nothing'; readonly tag: string }
  | { readonly kind: 'wrong'; readonly message: string }

const HARMLESS: Readonly<Record<string, string>> = {
  set: 'SET',
  begin: 'BEGIN',
  commit: 'COMMIT',
  rollback: 'ROLLBACK',
  discard: 'DISCARD ALL',
  deallocate: 'DEALLOCATE',
}

export function commandOf(text: string): Command {
  const words = text
    .replace(/\/\*.*?\*\//gs, ' ')
    .replace(/[;\s]+$/, '')
    .trim()
    .toLowerCase()
    .split(/\s+/)
  const [first = '', second = '', ...more] = words
  switch (first) {
    case '':
      return { kind: 'nothing', tag: '' }
    case 'show': {
      const what = SHOWN.find((each) => each === second)
      if (what !== undefined && more.length === 0) return { kind: 'show', what }
      return { kind: 'wrong', message: `there is no SHOW ${second.toUpperCase()}; SHOW HELP lists what there is` }
    }
    case 'pause':
    case 'resume':
    case 'reconnect':
    case 'reload':
    case 'kill':
      if (second === '') return { kind: first }
      return { kind: 'wrong', message: `${first.toUpperCase()} is for the whole proxy, and takes no name` }
    case 'kill_client': {
      const id = Number(second)
      if (/^\d+$/.test(second) && more.length === 0) return { kind: 'kill_client', id }
      return { kind: 'wrong', message: 'KILL_CLIENT takes the id of a client, as SHOW CLIENTS has it' }
    }
    case 'shutdown':
      if (second === '') return { kind: 'shutdown', waits: false }
      if (/^wait_for_(?:servers|clients)$/.test(second)) return { kind: 'shutdown', waits: true }
      return { kind: 'wrong', message: 'SHUTDOWN takes WAIT_FOR_SERVERS, WAIT_FOR_CLIENTS or nothing' }
    default:
      if (Object.hasOwn(HARMLESS, first)) return { kind: 'nothing', tag: HARMLESS[first] ?? '' }
      return { kind: 'wrong', message: `invalid command '${first}', use SHOW HELP` }
  }
}

export const HELP = [
  'Console usage',
  '\tSHOW NODES|POOLS|CLIENTS|SERVERS|DATABASES|USERS|ROUTES|STATS|LISTS|CONFIG|STATE|VERSION',
  '\tPAUSE',
  '\tRESUME',
  '\tRECONNECT',
  '\tRELOAD',
  '\tKILL',
  '\tKILL_CLIENT id',
  '\tSHUTDOWN [ WAIT_FOR_SERVERS | WAIT_FOR_CLIENTS ]',
].join('\n')
