// How a server is named. Values only.

declare const brand: unique symbol

/** `host:port`, the name of a node in code, errors, events and docs. */
export type NodeKey = string & { readonly [brand]: 'NodeKey' }

export interface NodeAddress {
  readonly host: string
  readonly port: number
  /** The name that the server's certificate must carry; null when the host itself is checked. */
  readonly servername: string | null
  /** 'configured': the user named it. 'discovered': found, used. 'shown': found, listed, never connected to. */
  readonly origin: 'configured' | 'discovered' | 'shown'
}

export function keyOf(address: { readonly host: string; readonly port: number }): NodeKey {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return `${host}:${address.port}` as NodeKey
}
