// What a full probe of an ordinary server tells, for tests that care about one part of it.

import type { Detail } from '../../src/core/cluster/sighting.js'
export function detailOf(more: Partial<Detail> = {}): Detail {
  return {
    systemIdentifier: '7',
    startedAt: 'then',
    controlTimeline: 1,
    receivedTimeline: null,
    senders: [],
    asynchronousCommit: false,
    walWriterDelayMillis: 200,
    walSegmentBytes: 16n * 1024n * 1024n,
    standardConformingStrings: true,
    version: '15.18',
    role: 'app',
    readsStats: true,
    ...more,
  }
}
