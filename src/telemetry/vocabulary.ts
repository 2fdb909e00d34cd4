// Every name in pgherd's telemetry: spans, their attributes and events, metrics. Tables only. Names that begin with
// `db.`, `server.` or `error.` are OpenTelemetry's: https://opentelemetry.io/docs/specs/semconv/database/

export interface Word {
  readonly name: string
  readonly meaning: string
}

export interface Attribute extends Word {
  readonly type: 'string' | 'int' | 'double'
}

const attribute = (name: string, type: Attribute['type'], meaning: string): Attribute => ({ name, type, meaning })

export const ATTRIBUTES = {
  system: attribute('db.system.name', 'string', '`postgresql`'),
  namespace: attribute(
    'db.namespace',
    'string',
    'The database that the pool was told to connect to. Schemas are not followed.'
  ),
  operation: attribute(
    'db.operation.name',
    'string',
    'The verb of the statement: `SELECT`, `CREATE TABLE`. Absent if its text cannot be read.'
  ),
  summary: attribute(
    'db.query.summary',
    'string',
    'Verbs and tables in the order of the text: `INSERT archive SELECT orders`. No values.'
  ),
  text: attribute(
    'db.query.text',
    'string',
    'Only with `traceQueryText: true`: the statement with `?` for every literal and parameter.'
  ),
  address: attribute('server.address', 'string', 'The host of the node that served the statement, or was tried last.'),
  port: attribute('server.port', 'int', 'Its port.'),
  status: attribute('db.response.status_code', 'string', 'The SQLSTATE of the error.'),
  error: attribute(
    'error.type',
    'string',
    'The SQLSTATE, the code of the socket error or of pgherd’s own, else the name of the error’s class.'
  ),
  role: attribute(
    'pgherd.role',
    'string',
    '`primary` or `replica`: what the node was believed to be when it was chosen.'
  ),
  intent: attribute('pgherd.intent', 'string', 'What the statement needs: `read`, `write` or `session`.'),
  reason: attribute('pgherd.reason', 'string', 'Why it needs that, in the words of `explain()`.'),
  choice: attribute(
    'pgherd.choice',
    'string',
    'Why this node: `primary`, `proven`, `guarded`, `unbounded`, `unproven`, `no-replica-qualifies` or `only-node`.'
  ),
  lag: attribute(
    'pgherd.lag_ms',
    'double',
    'On a replica: its lag when it was chosen, an upper bound. Absent if nothing was proven then.'
  ),
  attempts: attribute(
    'pgherd.attempts',
    'int',
    'How many nodes were tried, the one that served included. 0: none was fit.'
  ),
  wait: attribute('pgherd.wait_ms', 'double', 'How long the statement waited for a node to be fit, in all.'),
  outcome: attribute('pgherd.outcome', 'string', 'Of an error: `not-sent`, `rolled-back`, `committed` or `unknown`.'),
  node: attribute('pgherd.node', 'string', 'A node, as `host:port`.'),
  refusal: attribute('pgherd.refusal', 'string', 'Why the node was not used: `too-far-behind`, `down`, `suspect`, ...'),
  cause: attribute(
    'pgherd.cause',
    'string',
    'What kind of failure it was: `unreachable`, `starting`, `lost`, `silent`, `role`, ...'
  ),
  from: attribute('pgherd.from', 'string', 'The primary before, as `host:port`.'),
  to: attribute('pgherd.to', 'string', 'The primary now, as `host:port`.'),
  epoch: attribute('pgherd.epoch', 'int', 'How many primaries there have been, this one included.'),
  pool: attribute('db.client.connection.pool.name', 'string', '`host:port/database` of the node.'),
  state: attribute('db.client.connection.state', 'string', '`idle` or `used`.'),
  guard: attribute('pgherd.guard', 'string', '`passed` or `failed`.'),
} as const satisfies Record<string, Attribute>

export const SPANS = {
  statement: {
    name: '{db.query.summary}',
    meaning:
      'One statement that was routed: of `pool.query()`, or borrowed by a client. `postgresql` where there is no summary. CLIENT.',
  },
  transaction: { name: 'pgherd.transaction', meaning: '`pool.transaction()`, from its begin to its end. INTERNAL.' },
  borrow: {
    name: 'pgherd.borrow',
    meaning:
      'A client of `connect()` takes a replica for a READ ONLY transaction: the choice, not its statements. INTERNAL.',
  },
  failover: {
    name: 'pgherd.failover',
    meaning: 'From the first sign of trouble to the new primary. A trace of its own, told when it is over. INTERNAL.',
  },
} as const satisfies Record<string, Word>

export const EVENTS = {
  refused: {
    name: 'pgherd.refused',
    meaning: 'Of a statement: a node that might have served it, and why it was passed over.',
  },
  retry: { name: 'pgherd.retry', meaning: 'Of a statement: an attempt failed, and it goes on elsewhere.' },
  suspected: {
    name: 'pgherd.suspected',
    meaning: 'Of a failover: a node was accused; new statements wait for its answer.',
  },
  convicted: {
    name: 'pgherd.convicted',
    meaning: 'Of a failover: the primary is down or in recovery; its connections are given up.',
  },
  claimed: { name: 'pgherd.claimed', meaning: 'Of a failover: a node says that it is no replica.' },
  contested: {
    name: 'pgherd.contested',
    meaning: 'Of a failover: several nodes claim to be the primary, and nothing decides between them.',
  },
  promoted: {
    name: 'pgherd.promoted',
    meaning: 'Of a failover: the new primary is believed, and statements go there.',
  },
} as const satisfies Record<string, Word>

export interface Metric extends Word {
  readonly kind: 'histogram' | 'counter' | 'updowncounter' | 'gauge'
  readonly unit: string
  readonly attributes: readonly (keyof typeof ATTRIBUTES)[]
}

const metric = (
  name: string,
  kind: Metric['kind'],
  unit: string,
  meaning: string,
  ...attributes: Metric['attributes']
): Metric => ({ name, kind, unit, meaning, attributes })

export const METRICS = {
  operation: metric(
    'db.client.operation.duration',
    'histogram',
    's',
    'How long routed statements took, waiting included.',
    'system',
    'namespace',
    'operation',
    'summary',
    'address',
    'port',
    'role',
    'error',
    'status'
  ),
  connections: metric(
    'db.client.connection.count',
    'updowncounter',
    '{connection}',
    'Connections by state.',
    'pool',
    'state'
  ),
  most: metric(
    'db.client.connection.max',
    'updowncounter',
    '{connection}',
    'How many connections the node may have: option `max`.',
    'pool'
  ),
  least: metric(
    'db.client.connection.idle.min',
    'updowncounter',
    '{connection}',
    'How many stay open without work: option `min`.',
    'pool'
  ),
  pending: metric(
    'db.client.connection.pending_requests',
    'updowncounter',
    '{request}',
    'Statements that wait for a connection of this node.',
    'pool'
  ),
  timeouts: metric(
    'db.client.connection.timeouts',
    'counter',
    '{timeout}',
    'Waits for a connection that `connectionTimeoutMillis` ended.',
    'pool'
  ),
  create: metric('db.client.connection.create_time', 'histogram', 's', 'How long a new connection took.', 'pool'),
  acquire: metric(
    'db.client.connection.wait_time',
    'histogram',
    's',
    'How long it took to have a connection of the chosen node.',
    'pool'
  ),
  use: metric(
    'db.client.connection.use_time',
    'histogram',
    's',
    'How long a connection was out; one that reads share, for all of them.',
    'pool'
  ),
  decisions: metric(
    'pgherd.decisions',
    'counter',
    '{statement}',
    "Where statements went, and why; of pools that know more than one server, without `routing: 'observe'`.",
    'role',
    'choice',
    'reason'
  ),
  retries: metric(
    'pgherd.retries',
    'counter',
    '{attempt}',
    'Attempts that failed and were made again elsewhere.',
    'cause',
    'role'
  ),
  unknown: metric(
    'pgherd.outcome_unknown',
    'counter',
    '{statement}',
    'Statements, and calls of transaction(), whose error has the outcome `unknown`: they may have been executed. What the holder of a client sends is not counted, its COMMIT included; its errors say the same.',
    'error'
  ),
  waiting: metric(
    'pgherd.queue.depth',
    'updowncounter',
    '{statement}',
    'Statements, and calls of `connect()`, that wait for a node to be fit.'
  ),
  waited: metric(
    'pgherd.queue.wait_time',
    'histogram',
    's',
    'How long statements, and calls of `connect()`, waited for a node to be fit; of those that did.',
    'role'
  ),
  age: metric(
    'pgherd.replica.horizon_age',
    'gauge',
    's',
    'What the replica surely holds is this old: its lag, an upper bound. Absent: nothing is proven.',
    'node',
    'address',
    'port'
  ),
  behind: metric(
    'pgherd.replica.lag',
    'gauge',
    'By',
    'WAL that the primary was known to have and the replica has not replayed.',
    'node',
    'address',
    'port'
  ),
  probe: metric(
    'pgherd.probe.duration',
    'histogram',
    's',
    'How long looks at a node took; with `error.type` those that failed.',
    'node',
    'error'
  ),
  guards: metric(
    'pgherd.guards',
    'counter',
    '{read}',
    'Reads that a replica had to prove itself for together with the rows.',
    'guard'
  ),
  tooFar: metric('pgherd.reads.too_far_behind', 'counter', '{read}', 'Reads that no replica had replayed enough for.'),
  unproven: metric(
    'pgherd.reads.unproven',
    'counter',
    '{read}',
    'Reads for which no position of the primary was known that could tell.'
  ),
  failovers: metric(
    'pgherd.failover.duration',
    'histogram',
    's',
    'From the first sign of trouble to the new primary; its count is that of failovers.'
  ),
  contested: metric(
    'pgherd.contested.time',
    'counter',
    's',
    'How long several nodes have claimed to be the primary, with nothing to decide between them.'
  ),
} as const satisfies Record<string, Metric>
