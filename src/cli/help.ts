// What `pgherd --help` says. Nothing is decided here.

import type { Topic } from './args.js'

const GENERAL = `pgherd: a PostgreSQL primary and its replicas, as a pool of pgherd sees them

  pgherd status  [URL]              who is the primary, how far each replica is, what is wrong
  pgherd watch   [URL]              the same, live, with a log of what changes
  pgherd explain [URL] "select 1"   where a statement would go, and why; it is not run
  pgherd help    [command]          more on one of them

URL is postgres://user@host-a,host-b:5433/database?sslmode=require, with all servers or one of
them. Without it DATABASE_URL counts, and then PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE.
A password is better kept in PGPASSWORD or ~/.pgpass than in a URL, which other users may see.

  -h, --help       this text
  -V, --version    the version of pgherd

Nothing is written to the servers. Each is asked over a connection named 'pgherd probe'.
https://www.npmjs.com/package/pgherd`

const COMMON = `  --max-lag MS     the oldest that a read may be, in milliseconds, or infinity; default 1000
  --json           for programs`

const TIMEOUT = `  --timeout S      how long to look around, in seconds; default 5`

const TOPIC_TEXTS: Readonly<Record<Topic, string>> = {
  status: `pgherd status [URL]: who is the primary, how far each replica is, what is wrong

  --replicas N     so many replicas must be fit for reads; default 0
${COMMON}
${TIMEOUT}

The exit code is 0 if there is a primary that takes writes, and the wanted replicas; 1 if not:
no primary, two that claim to be it, no server there, a wrong password; 2 if the call is wrong.

'lag ≤' is an upper bound: whatever was acknowledged longer ago than that is on the replica.`,
  watch: `pgherd watch [URL]: the same as status, live, with a log of what changes

${COMMON}, one object per line for each change

On a terminal the picture is redrawn in place; q or Ctrl-C ends it. Anywhere else there is a
line for each change.`,
  explain: `pgherd explain [URL] "select ...": where a statement would go, and why; it is not run

${COMMON}
${TIMEOUT}

The exit code is 0 if a server would have it now, 1 if none would, 2 if the call is wrong.`,
}

export function helpOf(topic: Topic | null): string {
  return topic === null ? GENERAL : TOPIC_TEXTS[topic]
}
