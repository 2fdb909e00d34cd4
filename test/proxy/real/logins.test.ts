// Logins through the proxy: SCRAM by a userlist and by auth_query, the keys of a client for its server connections, TLS with channel binding.

import assert from 'node:assert/strict'
import tls from 'node:tls'
import type pg from 'pg'
import { userlistIn } from '../../../src/proxy/auth/users.js'
import { AUTH_QUERY } from '../../../src/proxy/options.js'
import { tlsOf } from '../../../src/proxy/tls.js'
import { makeCertificates } from '../../support/certificates.js'
import { type Cluster, startCluster } from '../../support/cluster.js'
import { endProxies, proxyOn } from '../../support/proxies.js'

const SCRAM = { authType: 'scram-sha-256' } as const

describe('logins through the proxy', () => {
  let cluster: Cluster
  let secret = ''

  before(async () => {
    cluster = await startCluster({ replicas: 1, auth: 'scram-sha-256' })
    const admin = await cluster.connect(0, 'postgres')
    await admin.query("create role guest login password 'a guest''s'; grant all on schema public to guest")
    await admin.query("create role gone login password 'gone' valid until '2001-01-01'")
    secret = (await admin.query("select rolpassword from pg_authid where rolname = 'guest'")).rows[0].rolpassword
    await cluster.caughtUp(1, 0)
  })
  afterEach(() => endProxies())
  after(() => cluster.destroy())

  const as = (user: string, password: string): pg.ClientConfig => ({ user, password, database: 'app' })
  const failure = async (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'none',
      (error) => `${(error as { code?: string }).code} ${(error as Error).message}`
    )

  it('by the secrets of a userlist: the proof of the client logs in to the servers', async () => {
    const served = await proxyOn(cluster, { options: SCRAM, list: userlistIn(`"guest" "${secret}"`) })
    const client = await served.connect(as('guest', "a guest's"))
    assert.equal((await client.query('select current_user as name')).rows[0].name, 'guest')
    assert.equal((await client.query('select session_user as name')).rows[0].name, 'guest')
    assert.match(
      await failure(served.connect(as('guest', 'wrong'))),
      /28P01 password authentication failed for user "guest"/
    )
    assert.match(
      await failure(served.connect(as('nobody', 'wrong'))),
      /28P01 password authentication failed for user "nobody"/
    )
  })

  it('by passwords in a userlist', async () => {
    const served = await proxyOn(cluster, { options: SCRAM, list: userlistIn('; a comment\n"guest" "a guest\'s"\n') })
    const client = await served.connect(as('guest', "a guest's"))
    assert.equal((await client.query('select current_user as name')).rows[0].name, 'guest')
    assert.match(await failure(served.connect(as('guest', 'wrong'))), /28P01/)
  })

  it('by auth_query, and an expired password counts for nothing', async () => {
    const served = await proxyOn(cluster, {
      options: { ...SCRAM, authQuery: AUTH_QUERY },
      role: 'postgres',
    })
    const client = await served.connect(as('guest', "a guest's"))
    assert.equal((await client.query('select current_user as name')).rows[0].name, 'guest')
    assert.match(await failure(served.connect(as('gone', 'gone'))), /28P01/)
    assert.match(await failure(served.connect(as("x' or true --", 'x'))), /28P01/)
  })

  it('TLS, with channel binding, and direct', async () => {
    const { authority, certificate, key } = makeCertificates(['localhost'], ['127.0.0.1'])
    const list = userlistIn(`"guest" "${secret}"`)
    const served = await proxyOn(cluster, { options: SCRAM, list, tls: tlsOf(certificate, key, true) })
    const client = await served.connect({
      ...as('guest', "a guest's"),
      ssl: { ca: authority },
      enableChannelBinding: true,
    } as pg.ClientConfig)
    assert.equal((await client.query('select 1 as one')).rows[0].one, 1)
    assert.match(await failure(served.connect(as('guest', "a guest's"))), /28000/)
    const direct = (protocols: string[]) =>
      new Promise<string>((resolve) => {
        const socket = tls.connect({ port: served.port, host: '127.0.0.1', ca: authority, ALPNProtocols: protocols })
        socket.once('error', () => resolve('refused'))
        socket.once('close', () => resolve('refused'))
        socket.once('secureConnect', () => {
          const startup = Buffer.from('\0\0\0\0\0\x03\0\0user\0guest\0database\0app\0\0', 'latin1')
          startup.writeInt32BE(startup.length, 0)
          socket.write(startup)
          socket.once('data', (bytes: Buffer) => {
            resolve(String.fromCharCode(bytes[0] as number))
            socket.destroy()
          })
        })
      })
    assert.equal(await direct(['postgresql']), 'R')
    assert.equal(await direct([]), 'refused')
  })
})
