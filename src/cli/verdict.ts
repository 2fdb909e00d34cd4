// Topology -> is the cluster healthy, and if not, what is wrong and what helps. Decided from the topology alone.

import { counted, listed, printable } from '../core/words.js'
import { reasonOf } from '../report/print.js'
import type { NodeSnapshot, TopologySnapshot } from '../report/types.js'

export interface Verdict {
  /** There is a primary that takes writes, and as many replicas as are wanted. */
  readonly healthy: boolean
  readonly text: string
  /** What helps. */
  readonly advice: string | null
}

export function verdictOf(snapshot: TopologySnapshot, wantedReplicas = 0): Verdict {
  const { primary, contested, nodes } = snapshot
  const serving = nodes.find(({ key }) => key === primary)
  if (serving === undefined) return contested.length > 0 ? contest(contested) : headless(snapshot)
  const replicas = nodes.filter(({ state }) => state === 'replica')
  const fit = replicas.filter(({ refused }) => refused === null).length
  const reads = readsText(fit, replicas.length, wantedReplicas)
  if (serving.refused !== null) {
    const why = serving.draining ? 'is to be left alone' : `is suspect: ${reasonOf(serving) ?? 'no answer yet'}`
    return { healthy: false, text: `Not writable now: the primary ${why}. ${reads}`, advice: null }
  }
  const lacks = fit === 0 || fit < wantedReplicas
  const advice = pretenders(nodes) ?? poolers(nodes) ?? (lacks ? (astray(nodes) ?? unused(nodes)) : null)
  if (fit >= wantedReplicas) return { healthy: true, text: `Writable. ${reads}`, advice }
  return { healthy: false, text: `Writable, but ${reads}`, advice }
}

/** Other applications may still write there. */
function pretenders(nodes: readonly NodeSnapshot[]): string | null {
  const claimants = nodes.filter(({ state }) => state === 'claimant').map(({ key }) => key)
  if (claimants.length === 0) return null
  const [claim, it] = claimants.length === 1 ? ['claims', 'it'] : ['claim', 'them']
  return `${listed(claimants)} ${claim} to be the primary as well: stop ${it}, or make ${it === 'it' ? 'it a replica' : 'them replicas'}.`
}

function poolers(nodes: readonly NodeSnapshot[]): string | null {
  const pooled = nodes.filter(({ pooled }) => pooled).map(({ key }) => key)
  if (pooled.length === 0) return null
  const what = pooled.length === 1 ? 'is a pooler' : 'are poolers'
  return `${listed(pooled)} ${what}: only what runs on the primary is sure. Name the servers themselves.`
}

/** A pool may be told by `replication({ address })` where a replica listens; this program is not. */
function astray(nodes: readonly NodeSnapshot[]): string | null {
  const lost = nodes.filter(
    ({ origin, state, failure }) =>
      origin === 'discovered' && failure !== null && (state === 'down' || state === 'unknown')
  )
  if (lost.length === 0) return null
  const [was, one] = lost.length === 1 ? ['was', 'it listens'] : ['were', 'they listen']
  return (
    `${listed(lost.map(({ key }) => key))} ${was} found in pg_stat_replication, at the port of the primary. Where ${one} elsewhere ` +
    '(containers, published ports), name the servers in the URL; a pool may be told by replication({ address }).'
  )
}

/** A pool with `discovery` would use them. */
function unused(nodes: readonly NodeSnapshot[]): string | null {
  const shown = nodes.filter(({ origin }) => origin === 'shown').map(({ key }) => key)
  if (shown.length === 0) return null
  const [was, them] = shown.length === 1 ? ['was', 'it'] : ['were', 'them']
  return (
    `${listed(shown)} ${was} found beside the named hosts and not asked. A pool with discovery: 'replication' uses ${them}, and ` +
    'so does --discovery replication here.'
  )
}

function readsText(fit: number, all: number, wanted: number): string {
  const asWanted = fit < wanted ? `, and ${wanted} ${wanted === 1 ? 'is' : 'are'} wanted` : ''
  if (all === 0) return `${wanted > 0 ? 'no' : 'No'} replica is known${asWanted}.`
  const some =
    fit === 0 ? `${wanted > 0 ? 'none' : 'None'} of ${counted(all, 'replica')}` : `${fit} of ${counted(all, 'replica')}`
  return `${some} ${fit < 2 ? 'serves' : 'serve'} reads${asWanted}.`
}

function contest(claimants: readonly string[]): Verdict {
  const all = claimants.length === 2 ? 'both' : 'all'
  return {
    healthy: false,
    text: `Not writable: ${listed(claimants)} ${all} claim to be the primary, and nothing decides.`,
    advice: 'Stop the wrong one, or make it a replica.',
  }
}

/** What a failure's SQLSTATE, or the system's name for it, asks of the reader. */
const AUTHORITY = 'Name the file with the certificate of their authority: sslrootcert in the URL.'
const PASSWORDLESS =
  'The server asks for a password and none was given: set PGPASSWORD, ~/.pgpass, or put it into the URL.'
const ADVICE: ReadonlyMap<string, string> = new Map(
  Object.entries({
    '28P01': 'Check user and password: in the URL, PGUSER and PGPASSWORD, or ~/.pgpass.',
    '28000': 'Check that the user exists and that pg_hba.conf lets it in from here.',
    '3D000':
      'Name a database that exists: it is the last part of the URL, or PGDATABASE, or else the name of the user.',
    '42501': 'The role may not connect to that database: GRANT CONNECT ON DATABASE, or take another role.',
    '53300': 'The servers have no connection left: close some, or raise max_connections.',
    '57P03': 'The servers are starting or stopping: try again.',
    ECONNREFUSED: 'Nothing listens there: are the servers running, are hosts and ports right?',
    EHOSTUNREACH: 'There is no way there from here: check addresses, routes and firewalls.',
    ENETUNREACH: 'There is no way there from here: check addresses, routes and firewalls.',
    ENOTFOUND: 'Check the name of the host.',
    ENOENT: 'There is no such socket: is the server running, is its directory right?',
    'The server does not support SSL connections': 'Leave sslmode and PGSSLMODE out, or turn on ssl at the servers.',
    'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string': PASSWORDLESS,
    'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a non-empty string': PASSWORDLESS,
    SELF_SIGNED_CERT_IN_CHAIN: AUTHORITY,
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: AUTHORITY,
    DEPTH_ZERO_SELF_SIGNED_CERT: AUTHORITY,
    ERR_TLS_CERT_ALTNAME_INVALID: 'Name the hosts as their certificates do.',
    PGHERD_WEAK_AUTH: 'Name the server in the URL, or have it ask for SCRAM.',
  })
)
/** Silence has no code. */
const NO_ANSWER = 'Nothing answers: check addresses, firewalls, and whether the servers are frozen.'

/** There is no primary. */
function headless(snapshot: TopologySnapshot): Verdict {
  const { nodes, blind } = snapshot
  const bad = (text: string, advice: string | null) => ({ healthy: false, text, advice })
  const mixed = new Set(nodes.map(({ systemIdentifier }) => systemIdentifier).filter((each) => each !== null))
  if (snapshot.systemIdentifier === null && mixed.size > 1) {
    const whose = nodes.filter(({ systemIdentifier }) => systemIdentifier !== null)
    const text = whose.map(({ key, systemIdentifier }) => `${key} has ${systemIdentifier}`)
    return bad(
      `Not one cluster: the system identifiers of the hosts differ. ${listed(text)}.`,
      'Name the hosts of one cluster.'
    )
  }
  const [, nameless] = Object.entries(blind)[0] ?? []
  if (nodes.length === 0 && nameless !== undefined) {
    return bad(`No server was found: ${printable(nameless)}.`, 'Check the name of the host.')
  }
  if (nodes.some(({ state }) => state === 'replica' || state === 'claimant')) {
    const lost = nodes.filter(({ state }) => state === 'unknown' || state === 'down').map(({ key }) => key)
    const also = lost.length === 0 ? '' : `, or see what is wrong with ${listed(lost)}`
    const text = 'Not writable: no server is the primary.'
    return bad(text, `Promote a replica, or name a host that leads to the primary${also}.`)
  }
  return unreached(nodes)
}

/** A code, or words, of a server that was there: also of its TLS. */
const REFUSED = /^(28|3D|42|53)|SSL|SASL|CERT|certificate|PGHERD/

/** No server answered, or none accepted the login. A server that answered says more than one that did not. */
function unreached(nodes: readonly NodeSnapshot[]): Verdict {
  const told = nodes.find(({ failureCode }) => /^[0-9A-Z]{5}$/.test(failureCode ?? ''))
  const answered =
    told ??
    nodes.find(({ failure }) => REFUSED.test(failure ?? '')) ??
    nodes.find(({ failure }) => failure !== null) ??
    nodes[0]
  const code = answered?.failureCode ?? null
  const words = answered === undefined ? null : reasonOf(answered)
  const isRefused = REFUSED.test(`${code ?? ''} ${words ?? ''}`.trim())
  const text = `No server ${isRefused ? 'let us in' : 'could be reached'}`
  return {
    healthy: false,
    text: words === null ? `${text}.` : `${text}: ${words}.`,
    advice: ADVICE.get(code ?? words ?? '') ?? (words?.startsWith('no answer') ? NO_ANSWER : null),
  }
}
