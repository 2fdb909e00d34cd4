/**
 * The clusters of our own tests: those of pgherd/testing (src/testing/), with TLS, with addresses, and with what can befall their
 * nodes in these tests only.
 */
import { isIP } from 'node:net'
import { build } from '../../src/testing/build.js'
import { LiveCluster } from '../../src/testing/live.js'
import { follow, streaming, triggerPromotion } from '../../src/testing/replication.js'
import type { ClusterOptions as PublicOptions } from '../../src/testing/types.js'
import { makeCertificates } from './certificates.js'
import { crash, killPostmaster, unplug } from './cluster-harm.js'

export type { ClusterNode, ConnectionConfig, Role, StopMode } from '../../src/testing/types.js'

export interface ClusterOptions extends PublicOptions {
  /** Clients must use TLS; config() has the authority that signed the servers' certificate. */
  readonly tls?: boolean
  readonly walSegmentMegabytes?: number
  /** The address each node listens on; 127.0.0.1 unless told. */
  readonly hosts?: readonly string[]
}

export class Cluster extends LiveCluster {
  /** SIGKILL to the postmaster alone: its children go on until they notice. */
  killPostmaster(index: number): Promise<void> {
    return killPostmaster(this.node(index))
  }

  /** SIGKILL to one backend; the server ends all others and recovers. Resolves when the backend is gone. */
  crash(index: number): Promise<void> {
    return crash(this.node(index))
  }

  reload(index: number): Promise<void> {
    return this.node(index).reload()
  }

  /** Resolves when the node has been told. */
  triggerPromotion(index: number): Promise<void> {
    return triggerPromotion(this.node(index))
  }

  /** The replica has no upstream. */
  unplug(index: number): Promise<void> {
    return unplug(this.node(index))
  }

  replug(index: number, upstream: number): Promise<void> {
    return follow(this.node(index), this.node(upstream))
  }

  /** Resolves when the node shows exactly `count` streaming replicas. */
  streaming(index: number, count: number): Promise<void> {
    return streaming(this.node(index), count)
  }
}

export function startCluster({ tls = false, ...options }: ClusterOptions = {}): Promise<Cluster> {
  return build({ ...options, certificates: tls ? certificatesFor(options.hosts ?? []) : undefined }, Cluster)
}

function certificatesFor(hosts: readonly string[]) {
  const named = hosts.filter((host) => !isIP(host))
  const addressed = hosts.filter((host) => isIP(host))
  return makeCertificates(['localhost', 'db.test', ...named], ['127.0.0.1', '::1', ...addressed])
}
