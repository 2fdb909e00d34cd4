// TLS for clients: a certificate and a key -> what a Door needs. Throws where they cannot be read, or do not belong together.

import { X509Certificate } from 'node:crypto'
import tls from 'node:tls'
import { bindingOf } from './auth/binding.js'
import type { Tls } from './client/door.js'

/** `certificate`, `key`: in PEM; the certificate may be followed by its chain. */
export function tlsOf(certificate: string, key: string, isRequired: boolean): Tls {
  const context = tls.createSecureContext({ cert: certificate, key, minVersion: 'TLSv1.2' })
  return { context, binding: bindingOf(new X509Certificate(certificate).raw), isRequired }
}
