// The codes and texts of errors that arise in this process, not in the server. Node's sockets, resolver and TLS give a code. pg and
// pg-pool give a text only.

import type { FailureKind } from './sqlstates.js'

/** Codes of Node's sockets, resolver and TLS -> meaning. */
export const SYSTEM_CODES: Readonly<Record<string, FailureKind>> = {
  ECONNREFUSED: 'unreachable',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENETDOWN: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  ENOENT: 'unreachable', // no such Unix socket
  ENOTFOUND: 'unreachable',
  EAI_AGAIN: 'unreachable',
  ENODATA: 'unreachable',
  ESERVFAIL: 'unreachable',
  ETIMEOUT: 'unreachable',
  ECONNRESET: 'lost',
  ECONNABORTED: 'lost',
  EPIPE: 'lost',
  ETIMEDOUT: 'lost',
  ERR_STREAM_DESTROYED: 'lost',
  ERR_STREAM_WRITE_AFTER_END: 'lost',
  ERR_TLS_CERT_ALTNAME_INVALID: 'denied',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'denied',
  SELF_SIGNED_CERT_IN_CHAIN: 'denied',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'denied',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'denied',
  CERT_HAS_EXPIRED: 'denied',
}

/** pg's errors without any code. The texts are part of its contract: libraries match on them. */
export const UNCODED: Readonly<Record<string, FailureKind>> = {
  'Connection terminated': 'caller', // the caller called end() on the client: this says nothing about its server
  'Connection terminated unexpectedly': 'lost',
  'Connection terminated due to connection timeout': 'silent',
  'timeout expired': 'silent',
  'timeout exceeded when trying to connect': 'caller', // the pool is full: nothing is known of the server
  'Query read timeout': 'caller', // query_timeout is the caller's own limit: nothing else may run after it
  'The server does not support SSL connections': 'denied',
  // Asked for a password, and none was given, or an empty one.
  'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string': 'denied',
  'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a non-empty string': 'denied',
  'There was an error establishing an SSL connection': 'starting',
}

/** connectionTimeoutMillis, in pg's words: in the queue for a connection, or while one was made. */
export const IN_QUEUE = 'timeout exceeded when trying to connect'

export const WHILE_CONNECTING: ReadonlySet<string> = new Set([
  'Connection terminated due to connection timeout',
  'timeout expired',
])

/** pg refuses to send: the statement never left. */
export const NOT_QUERYABLE: ReadonlySet<string> = new Set([
  'Client has encountered a connection error and is not queryable',
  'Client was closed and is not queryable',
])

/** pg refuses it for its form, before a byte of it is sent. */
export const MALFORMED =
  /^(?:A query must have either text or a name|Query values must be an array|Prepared statements must be unique)/
