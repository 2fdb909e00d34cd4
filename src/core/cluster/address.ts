// How a server is named. Values only.

declare const brand: unique symbol

/** `host:port`, the name of a node in code, errors, events and docs. */
export type NodeKey = string & { readonly [brand]: 'NodeKey' }

/** What the user has said of a server beside its name. */
export interface Traits {
  /** Its share of the reads, beside the others'. 0: none, unless nothing else can serve. Absent: 1. */
  readonly weight?: number | undefined
  /** Where it stands, in the user's words. Absent or null: not known. */
  readonly zone?: string | null | undefined
}

export interface NodeAddress extends Traits {
  readonly host: string
  readonly port: number
  /** The name that the server's certificate must carry; null when the host itself is checked. */
  readonly servername: string | null
  /** 'configured': the user named it. 'discovered': found, used. 'shown': found, listed, never connected to. */
  readonly origin: 'configured' | 'discovered' | 'shown'
}

/** Only those that are told. */
export function traitsOf({ weight, zone }: Traits): Traits {
  return { ...(weight === undefined ? {} : { weight }), ...(zone === undefined ? {} : { zone }) }
}

export function keyOf(address: { readonly host: string; readonly port: number }): NodeKey {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return `${host}:${address.port}` as NodeKey
}
