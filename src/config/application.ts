// The application's functions that decide for the pool: how replicas are balanced, which addresses are used. They may throw, return
// nothing or garbage, return a promise, or call the pool. Where one fails the default holds, and a warning names it once.

import { type BalancePolicy, leastInFlight, policies } from '../core/cluster/balance.js'
import { propertyOf, wordsOf } from '../core/thrown.js'
import type { ReplicaRow, ReplicationSettings } from '../discovery/replication.js'
import type { Complain } from '../runtime/complaints.js'
import type { Config } from './config.js'
import { isWeight } from './options.js'

/** Returns the same configuration with functions that never throw and always return a valid value. */
export function decisive(config: Config, complain: Complain): Config {
  const { balance, onDiscover, replication } = config
  const isOwn = Object.values(policies).some((policy) => policy === balance)
  return {
    ...config,
    balance: isOwn ? balance : balanced(balance, complain),
    onDiscover: (node) => admitted(onDiscover, node, complain),
    replication: { ...replication, settings: mapped(replication.settings, complain) },
  }
}

const INSTEAD = 'The replica with the fewest statements in flight is taken instead.'

function balanced(balance: BalancePolicy, complain: Complain): BalancePolicy {
  // Statements that the function itself sends must not ask it again.
  let isAsked = false
  return (candidates, moment) => {
    if (isAsked) return leastInFlight(candidates, moment)
    isAsked = true
    try {
      // A copy: the function may sort it.
      const chosen = balance([...candidates], moment)
      if (candidates.includes(chosen)) return chosen
      complain(
        'option balance',
        `returned ${kindOf(chosen)}, which is none of the candidates that it was given. ${INSTEAD}`
      )
    } catch (error) {
      complain('option balance', `threw ${wordsOf(error)}. ${INSTEAD}`)
    } finally {
      isAsked = false
    }
    return leastInFlight(candidates, moment)
  }
}

type OnDiscover = Config['onDiscover']

/** An address that the function has not admitted is not used. */
function admitted(onDiscover: OnDiscover, node: Parameters<OnDiscover>[0], complain: Complain): boolean {
  try {
    const admits: unknown = onDiscover({ host: node.host, port: node.port })
    if (admits !== undefined && !isPromise(admits)) return Boolean(admits)
    complain('option onDiscover', `returned ${kindOf(admits)}, not true or false. The address is not used.`)
  } catch (error) {
    complain('option onDiscover', `threw ${wordsOf(error)}. The address is not used.`)
  }
  return false
}

function mapped({ address }: ReplicationSettings, complain: Complain): ReplicationSettings {
  if (address === undefined) return {}
  return { address: (row, primary) => placed(address, row, primary, complain) }
}

type Mapper = NonNullable<ReplicationSettings['address']>

function placed(address: Mapper, row: ReplicaRow, primary: Parameters<Mapper>[1], complain: Complain) {
  try {
    const place: unknown = address(row, primary)
    if (place === null || place === undefined) return null
    const [host, port] = [propertyOf(place, 'host'), Number(propertyOf(place, 'port'))]
    const [weight, zone] = [propertyOf(place, 'weight'), propertyOf(place, 'zone')]
    const isPlace = typeof host === 'string' && host !== '' && Number.isInteger(port) && port > 0 && port < 65_536
    if (isPlace && (weight === undefined || isWeight(weight)) && isZone(zone)) return { host, port, weight, zone }
    complain(
      'replication({ address })',
      isPlace
        ? 'returned a weight that is no number of at least 0, or a zone that is no text. The replica is left alone.'
        : `returned ${kindOf(place)}, not { host, port } or null. The replica is left alone.`
    )
  } catch (error) {
    complain('replication({ address })', `threw ${wordsOf(error)}. The replica is left alone.`)
  }
  return null
}

function isZone(value: unknown): value is string | null | undefined {
  return value === undefined || value === null || typeof value === 'string'
}

/** What a function returned, in words. No caller waits for a promise: it must not end the process when it rejects. */
function kindOf(value: unknown): string {
  if (isPromise(value)) return 'a promise'
  if (value === undefined || value === null) return String(value)
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

function isPromise(value: unknown): boolean {
  if (value instanceof Promise) value.then(undefined, () => {})
  return typeof propertyOf(value, 'then') === 'function'
}
