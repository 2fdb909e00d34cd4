// The program on real servers: what it prints, how it ends, and what it never shows.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { bareEnvironment, PROGRAM, pgherd, type Ran, start, urlOf } from '../../support/cli.js'
import { type Cluster, startCluster } from '../../support/cluster.js'
import { keyOf } from '../../support/pools.js'
import { Relay } from '../../support/relay.js'

const GRANT = 'GRANT pg_read_all_stats TO "app";'

/** However it ends: no stack, no password. */
function decent({ out, err }: Ran): void {
  for (const text of [out, err]) {
    assert.doesNotMatch(text, /^\s+at .*[:)]\d/m)
    assert.doesNotMatch(text, /secret/)
  }
}

describe('pgherd status and explain', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 2, auth: 'scram-sha-256' })
    await cluster.streaming(0, 2)
    const admin = await cluster.connect(0, 'postgres')
    await admin.query('create table items (id int)')
    await admin.query("create function touch() returns int language sql as 'select 1'")
    await cluster.caughtUp(1, 0)
    await cluster.caughtUp(2, 0)
  })
  after(() => cluster.destroy())

  it('a cluster that is well: everybody in a table, exit code 0', async () => {
    const ran = await pgherd(['status', urlOf(cluster, 'monitor')])
    decent(ran)
    assert.equal(ran.code, 0)
    const [a, b, c] = [0, 1, 2].map((index) => keyOf(cluster, index))
    assert.match(
      ran.out,
      new RegExp(`^monitor@${a},${b},${c}/app\nsystem identifier \\d+ · PostgreSQL ${cluster.major}\\.`)
    )
    assert.match(ran.out, new RegExp(`${a} +primary +up +– +– +0/[0-9A-F]+ +1 +configured`))
    for (const key of [b, c]) {
      assert.match(ran.out, new RegExp(`${key} +replica +up +\\d+ ms +\\S+ k?B +0/[0-9A-F]+ +1 +configured`))
    }
    assert.match(ran.out, /\nWritable\. 2 of 2 replicas serve reads\.\n$/)
  })

  it('a plain role: what is hidden from it, and the exact statement, which then helps', async () => {
    const before = await pgherd(['status', urlOf(cluster)])
    decent(before)
    assert.equal(before.code, 0)
    assert.match(before.out, /Hidden from this role:\n {2}- on \S+: the addresses of the replicas/)
    const [statement] = before.out.match(/GRANT .*;/) ?? []
    assert.equal(statement, GRANT)
    const admin = await cluster.connect(0, 'postgres')
    await admin.query(statement)
    try {
      await Promise.all([cluster.caughtUp(1, 0), cluster.caughtUp(2, 0)])
      assert.doesNotMatch((await pgherd(['status', urlOf(cluster)])).out, /Hidden/)
    } finally {
      await admin.query('revoke pg_read_all_stats from app')
    }
  })

  it('pg_control_system() forbidden: the exact statement, which then helps', async () => {
    const admin = await cluster.connect(0, 'postgres')
    await admin.query('revoke execute on function pg_control_system() from public')
    try {
      const ran = await pgherd(['status', urlOf(cluster, 'app', [0])])
      const [statement] = ran.out.match(/GRANT EXECUTE .*;/) ?? []
      assert.ok(statement, ran.out)
      await admin.query(statement)
      assert.doesNotMatch((await pgherd(['status', urlOf(cluster, 'app', [0])])).out, /GRANT EXECUTE/)
    } finally {
      await admin.query('grant execute on function pg_control_system() to public')
    }
  })

  it('--json: the snapshot, and the verdict', async () => {
    const ran = await pgherd(['status', '--json', urlOf(cluster)])
    assert.equal(ran.code, 0)
    const told = JSON.parse(ran.out)
    assert.deepEqual([told.healthy, told.primary, told.nodes.length], [true, keyOf(cluster, 0), 3])
    assert.equal(typeof told.nodes[1].lagBytes, 'number')
    assert.ok(!ran.out.includes('\x1b'))
  })

  it('colours where they are forced, and never with NO_COLOR', async () => {
    const url = urlOf(cluster)
    const painted = await pgherd(['status', url], { FORCE_COLOR: '1' })
    assert.ok(painted.out.includes('\x1b[32m'))
    for (const env of [{}, { FORCE_COLOR: '1', NO_COLOR: '1' }, { FORCE_COLOR: '0' }]) {
      assert.ok(!(await pgherd(['status', url], env)).out.includes('\x1b'))
    }
  })

  it('an address behind which servers take turns serves no reads, as in a pool that has run for a while', async () => {
    const [primary, one, two] = [cluster.node(0), cluster.node(1), cluster.node(2)]
    const relay = await Relay.start(one, two)
    try {
      const url = `postgres://app:app@${primary.host}:${primary.port},127.0.0.1:${relay.port}/app`
      const explained = await pgherd(['explain', '--timeout', '20', url, 'select 1'])
      decent(explained)
      assert.match(explained.out, new RegExp(`^read → ${keyOf(cluster, 0)}\n`))
      assert.match(explained.out, new RegExp(`:${relay.port} +several servers answer at its address`))
      assert.match((await pgherd(['status', '--timeout', '20', url])).out, /None of 1 replica serves reads/)
    } finally {
      await relay.close()
    }
  })

  it('the environment tells where: DATABASE_URL, or PGHOST and its like', async () => {
    assert.equal((await pgherd(['status'], { DATABASE_URL: urlOf(cluster) })).code, 0)
    const nodes = cluster.nodes.map(({ host, port }) => ({ host, port }))
    const [PGHOST, PGPORT] = [nodes.map(({ host }) => host).join(','), nodes.map(({ port }) => port).join(',')]
    const ran = await pgherd(['status'], { PGHOST, PGPORT, PGUSER: 'app', PGPASSWORD: 'app', PGDATABASE: 'app' })
    assert.equal(ran.code, 0)
    assert.match(ran.out, /^app@.*\/app\n/)
  })

  it('a single server; a single replica', async () => {
    const primary = await pgherd(['status', urlOf(cluster, 'monitor', [0])])
    assert.equal(primary.code, 0)
    assert.match(primary.out, /Writable\. No replica is known\./)
    assert.equal((await pgherd(['status', '--replicas', '1', urlOf(cluster, 'monitor', [0])])).code, 1)
    const replica = await pgherd(['status', urlOf(cluster, 'monitor', [1])])
    assert.equal(replica.code, 1)
    assert.match(replica.out, /Not writable: no server is the primary\.\nPromote a replica, or name a host/)
  })

  it('a wrong password, a database that is not there, nobody there, no such name: plain words, exit code 1', async () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      [
        urlOf(cluster, 'app', undefined, 'secret'),
        /No server let us in: password authentication failed for user "app"\.\nCheck/,
      ],
      [`${urlOf(cluster)}x`, /No server let us in: database "appx" does not exist\.\nName a database/],
      [
        'postgres://app:secret@127.0.0.1:1,127.0.0.2:1/app',
        /No server could be reached: .*ECONNREFUSED.*\nNothing listens there/,
      ],
      ['postgres://app:secret@nowhere.invalid/app', /No server was found: .*nowhere\.invalid\.\nCheck the name/],
      [`${urlOf(cluster)}?sslmode=no-verify`, /No server let us in: .*SSL.*\nLeave sslmode/],
    ]
    for (const [url, pattern] of cases) {
      for (const command of [
        ['status', url],
        ['explain', url, 'select 1'],
      ]) {
        const ran = await pgherd(command)
        decent(ran)
        assert.equal(ran.code, 1, ran.err)
        assert.match(ran.out, pattern)
      }
    }
  })

  it('what cannot be a URL, and calls that are wrong: one line on stderr, exit code 2', async () => {
    const cases = [
      ['status', 'postgres://app:secret@h:port/app'],
      ['status', 'postgres://app:secret/x@a,b/app'],
      ['status', 'db-a'],
      ['status', '--what'],
      ['statsu'],
      ['explain', 'postgres://app:secret@a/app'],
    ]
    for (const words of cases) {
      const ran = await pgherd(words)
      decent(ran)
      assert.deepEqual([ran.code, ran.out], [2, ''], words.join(' '))
      assert.match(ran.err, /^pgherd: /)
    }
  })

  it('help on stdout when it was asked for, on stderr when nothing was', async () => {
    for (const words of [['--help'], ['help', 'status'], ['watch', '-h']]) {
      const { code, out, err } = await pgherd(words)
      assert.deepEqual([code, err], [0, ''])
      assert.match(out, /^pgherd.*:/)
      for (const line of out.split('\n')) assert.ok(line.length <= 100, line)
    }
    const { code, out, err } = await pgherd([])
    assert.deepEqual([code, out], [2, ''])
    assert.match(err, /pgherd status/)
    assert.match((await pgherd(['--version'])).out, /^\d+\.\d+\.\d+\n$/)
  })

  it('explain: a read, a write, a function, and why not the others', async () => {
    const explain = async (sql: string, ...words: string[]) => {
      const ran = await pgherd(['explain', ...words, urlOf(cluster), sql])
      decent(ran)
      assert.equal(ran.code, 0, ran.out)
      return ran.out
    }
    const [a, b, c] = [0, 1, 2].map((index) => keyOf(cluster, index))
    assert.match(
      await explain('select * from items'),
      new RegExp(`^read → (${b}|${c})\n.*only reads\nnot on\n {2}${a} +it is the primary\n$`)
    )
    assert.match(
      await explain('insert into items values (1)'),
      new RegExp(`^write → ${a}\n.*\nnot on\n {2}${b} +it is a replica`)
    )
    assert.match(await explain('select touch()'), new RegExp(`^write → ${a}\n {2}touch .*VOLATILE`, 'i'))
    const told = JSON.parse(await explain('select 1', '--json'))
    assert.deepEqual([told.intent, told.refused[a ?? '']], ['read', 'it is the primary'])
    assert.match(await explain('select * from items', '--max-lag', '0.001'), new RegExp(`^read → ${a}\n`))
  })

  it('a reader that has seen enough is no failure', async () => {
    const child = spawn('sh', ['-c', `"${process.execPath}" "${PROGRAM}" status "${urlOf(cluster)}" | head -1`], {
      env: bareEnvironment(),
    })
    let err = ''
    child.stderr.on('data', (text: Buffer) => {
      err += text
    })
    const [code] = await once(child, 'close')
    assert.deepEqual([code, err], [0, ''])
  })

  it('half a cluster down: what is left is told, and what is wrong', async () => {
    await cluster.stop(2, 'immediate')
    const ran = await pgherd(['status', urlOf(cluster, 'monitor')])
    assert.equal(ran.code, 0)
    assert.match(ran.out, new RegExp(`${keyOf(cluster, 2)} +– +down .*\n {2}└ connect ECONNREFUSED`))
    assert.match(ran.out, /Writable\. 1 of 1 replica serves reads\./)
    const wanted = await pgherd(['status', '--replicas', '2', urlOf(cluster, 'monitor')])
    assert.equal(wanted.code, 1)
    await cluster.start(2)
  })
})

describe('pgherd watch, and status when it is over', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 2 })
    await cluster.streaming(0, 2)
  })
  after(() => cluster.destroy())

  it('a line for each change through a failover; JSON lines beside; signals end it', async () => {
    const [a, b, c] = [0, 1, 2].map((index) => keyOf(cluster, index))
    const [lines, json] = [start(['watch', urlOf(cluster, 'monitor')]), start(['watch', '--json', urlOf(cluster)])]
    await Promise.all([
      lines.shows(new RegExp(`${c} is a replica, timeline 1`)),
      json.shows(/"is a replica, timeline 1"/),
    ])
    await cluster.kill(0)
    await Promise.all([lines.shows(/there is no primary: writes wait/), json.shows(/there is no primary/)])
    const down = await pgherd(['status', urlOf(cluster)])
    assert.equal(down.code, 1)
    assert.match(down.out, /Not writable: no server is the primary/)
    await cluster.promote(1)
    await Promise.all([lines.shows(/has taken over from/), json.shows(/"kind":"failover"/)])
    lines.child.kill('SIGINT')
    json.child.kill('SIGTERM')
    const [told, objects] = await Promise.all([lines.ran, json.ran])
    assert.deepEqual([told.code, told.err, objects.code, objects.err], [130, '', 143, ''])
    assert.match(told.out, /^(?:\d\d:\d\d:\d\d\.\d{3} {2}\S.*\n)+$/)
    assert.match(told.out, new RegExp(`${a} is down: .*\n(?:.*\n)*.*${b} is the primary, timeline 2, epoch 2\n`))
    assert.match(told.out, new RegExp(`${b} has taken over from ${a} after `))
    const changes = objects.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    const { from, to, millis } = changes.find(({ kind }) => kind === 'failover')
    assert.deepEqual([from, to, typeof millis], [a, b, 'number'])
    assert.ok(changes.every(({ time }) => !Number.isNaN(Date.parse(time))))
    assert.deepEqual(
      changes.filter(({ kind }) => kind === 'primary').map(({ node }) => node),
      [null, b]
    )
  })

  it('two that claim to be the primary: nobody is written to, exit code 1', async () => {
    // The same timeline, and nobody follows either.
    await cluster.promote(2)
    const ran = await pgherd(['status', urlOf(cluster, 'app', [1, 2])])
    assert.equal(ran.code, 1, ran.out)
    assert.match(ran.out, /both claim to be the primary, and nothing decides\.\nStop the wrong one/)
  })
})
