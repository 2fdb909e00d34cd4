/**
 * The texts a node is configured with: postgresql.conf, pg_hba.conf, roles. Values in, text out; writes nothing.
 */
import type { Authentication, Role, Setting } from './types.js'

export const ROLES = ['postgres', 'replicator', 'app', 'monitor'] as const satisfies readonly Role[]

/** Every role's password is its name. */
export const ROLE_STATEMENTS = [
  `alter role postgres password 'postgres'`,
  `create role replicator login replication password 'replicator'`,
  `create role app login password 'app'`,
  `create role monitor login password 'monitor' in role pg_monitor, app`,
  `create database app owner app`,
]

/** Files of a node's own, read after postgresql.conf; so a file can be rewritten without reading it. */
export const NODE_FILE = 'node.conf'
export const UPSTREAM_FILE = 'upstream.conf'
export const DELAY_FILE = 'delay.conf'

export interface ServerSettings {
  readonly major: number
  readonly segmentMegabytes: number
  readonly synchronous: string | undefined
  readonly tls: boolean
  readonly extra: Readonly<Record<string, Setting>>
}

export function serverSettings(server: ServerSettings): string {
  const { major, segmentMegabytes, synchronous, tls } = server
  const keptMegabytes = Math.max(256, 4 * segmentMegabytes)
  return [
    settingLines({
      fsync: false, // the machine does not crash, only servers do
      shared_buffers: '16MB',
      max_connections: 100,
      unix_socket_directories: '',
      wal_level: 'replica',
      hot_standby: true,
      max_wal_senders: 20,
      max_wal_size: `${keptMegabytes}MB`,
      min_wal_size: `${Math.max(32, 2 * segmentMegabytes)}MB`,
      checkpoint_timeout: '30min', // none that was not asked for
      wal_retrieve_retry_interval: '100ms',
      wal_receiver_status_interval: '1s',
      wal_receiver_timeout: '10s',
      wal_sender_timeout: '10s',
      ...(major < 13
        ? { wal_keep_segments: Math.ceil(keptMegabytes / segmentMegabytes) }
        : { wal_keep_size: `${keptMegabytes}MB` }),
      ...(synchronous === undefined ? {} : { synchronous_standby_names: synchronous }),
      ...(tls ? { ssl: true, ssl_cert_file: 'server.crt', ssl_key_file: 'server.key' } : {}),
      ...server.extra,
    }),
    ...[NODE_FILE, UPSTREAM_FILE, DELAY_FILE].map((file) => `include_if_exists = '${file}'\n`),
  ].join('')
}

export function settingLines(settings: Readonly<Record<string, Setting>>): string {
  const spelled = (value: Setting) => (typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value))
  return Object.entries(settings)
    .map(([name, value]) => `${name} = '${spelled(value).replaceAll("'", "''")}'\n`)
    .join('')
}

export function hostBasedAuthentication(method: Authentication, tls: boolean): string {
  return `host replication replicator all trust\n${tls ? 'hostssl' : 'host'} all all all ${method}\n`
}

export function connectionTo(upstream: { readonly host: string; readonly port: number }, name: string): string {
  return (
    `host=${upstream.host} port=${upstream.port} user=replicator password=replicator ` +
    `application_name=${name} connect_timeout=3 sslmode=disable`
  )
}
