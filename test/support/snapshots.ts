// Pictures of clusters as users get them, for tests that care about a few facts of one.

import type { NodeSnapshot, TopologySnapshot } from '../../src/index.js'

export function nodeOf(name: string, more: Partial<NodeSnapshot> = {}): NodeSnapshot {
  return {
    key: `${name}:5432`,
    host: name,
    port: 5432,
    state: 'replica',
    origin: 'configured',
    foundBy: 'configured',
    name: null,
    weight: 1,
    zone: null,
    sameAs: null,
    suspect: false,
    draining: false,
    timeline: 1,
    systemIdentifier: '7',
    version: '15.18 (Debian 15.18-1)',
    position: '0/3000148',
    lagMillis: 12.3,
    lagBytes: 0,
    refused: null,
    generation: 0,
    failure: null,
    failureCode: null,
    pooled: false,
    hidden: [],
    ...more,
  }
}

export function primaryOf(name: string, more: Partial<NodeSnapshot> = {}): NodeSnapshot {
  return nodeOf(name, { state: 'primary', lagMillis: null, lagBytes: null, ...more })
}

export function downOf(name: string, failure: string, code: string | null): NodeSnapshot {
  const nothing = { timeline: null, systemIdentifier: null, version: null, position: null }
  const lag = { lagMillis: null, lagBytes: null }
  return nodeOf(name, { state: 'down', ...nothing, ...lag, refused: 'it is down', failure, failureCode: code })
}

export function picture(nodes: readonly NodeSnapshot[], more: Partial<TopologySnapshot> = {}): TopologySnapshot {
  const primary = nodes.find(({ state }) => state === 'primary')?.key ?? null
  return { epoch: 1, primary, contested: [], systemIdentifier: '7', nodes, blind: {}, ...more }
}
