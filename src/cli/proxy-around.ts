// What the commands of the proxy get from their process, and how the environment completes what they are told.

import pg from 'pg'
import { type Config, resolveConfig } from '../config/config.js'
import type { Environment } from '../config/hosts.js'
import { Mistake, mistakeOf } from './herd.js'
import type { ProxyWanted } from './proxy-args.js'
import type { Output } from './terminal.js'

export interface Surroundings {
  readonly output: Output
  readonly environment: Environment
  readonly version: string
  /** Calls back with each signal that the process gets. */
  readonly signals: (listener: (signal: 'SIGHUP' | 'SIGINT' | 'SIGTERM') => void) => void
}

export function configOf({ url, maxLagMillis }: ProxyWanted, environment: Environment): Config {
  const connectionString = url ?? (environment.DATABASE_URL || null)
  const options = {
    // Each client connection sees its own writes; that of the others it sees within the lag bound.
    readYourWrites: 'session',
    ...(maxLagMillis === null ? {} : { maxLagMillis }),
    ...(connectionString === null ? {} : { connectionString }),
  }
  try {
    const config = resolveConfig(options, environment, pg.defaults)
    const { user, password, database } = config.client
    const name = user || environment.PGUSER || environment.USER
    const client = {
      ...config.client,
      user: name,
      password: password ?? environment.PGPASSWORD,
      database: database || environment.PGDATABASE || name,
    }
    return { ...config, client }
  } catch (error) {
    throw new Mistake(mistakeOf(error))
  }
}

export function failureText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

export function addressText({ address, port }: { readonly address: string; readonly port: number }): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`
}
