// All faults that a random sequence may hold, and those of a kind that short runs take.

import type { Fault } from './fault.js'
import { FORK_FAULTS } from './faults-forks.js'
import { LOGIN_FAULTS } from './faults-logins.js'
import { NETWORK_FAULTS } from './faults-network.js'
import { POOLER_FAULTS } from './faults-poolers.js'
import { ROLE_FAULTS } from './faults-roles.js'
import { SERVER_FAULTS } from './faults-servers.js'

const GENERAL = [...SERVER_FAULTS, ...NETWORK_FAULTS, ...ROLE_FAULTS]
const LOGINS = [...LOGIN_FAULTS, ...POOLER_FAULTS]

export const FAULTS: readonly Fault[] = [...GENERAL, ...FORK_FAULTS, ...LOGINS]

const quick = (faults: readonly Fault[]) => faults.filter(({ long }) => !long)

/** `all` is for long runs. */
export const GROUPS = {
  all: FAULTS,
  general: quick(GENERAL),
  forks: quick(FORK_FAULTS),
  logins: quick(LOGINS),
} as const satisfies Record<string, readonly Fault[]>
export type Group = keyof typeof GROUPS
