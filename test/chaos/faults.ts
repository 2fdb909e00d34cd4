// All faults that a random sequence may hold.

import type { Fault } from './fault.js'
import { FORK_FAULTS } from './faults-forks.js'
import { LOGIN_FAULTS } from './faults-logins.js'
import { NETWORK_FAULTS } from './faults-network.js'
import { POOLER_FAULTS } from './faults-poolers.js'
import { ROLE_FAULTS } from './faults-roles.js'
import { SERVER_FAULTS } from './faults-servers.js'

export const FAULTS: readonly Fault[] = [
  ...SERVER_FAULTS,
  ...NETWORK_FAULTS,
  ...ROLE_FAULTS,
  ...FORK_FAULTS,
  ...LOGIN_FAULTS,
  ...POOLER_FAULTS,
]
