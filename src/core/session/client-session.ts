// One caller's session while it holds a client: which of its statements may run on another connection, and what has to follow. The
// caller sees one session of one server; what it could tell apart stays on its own connection. Pure: plan() decides, after() keeps
// what the transaction on a replica must not forget. Chooses no node.

import type { Verdict } from '../sql/classify.js'
import {
  closingOf,
  type Effect,
  escapesReadOnly,
  harmsElsewhere,
  type Isolation,
  isolationIn,
  needsPrimary,
  type Opening,
  onlyShapes,
  openingOf,
} from '../sql/effects.js'

/** What of a statement decides. */
export interface Asked {
  /** Null: there is no text to read. */
  readonly text: string | null
  /** The same, and the text that only what submits itself shows. */
  readonly sql: string | null
  /** What `sql` does; null: there is none. */
  readonly sqlClass: Verdict | null
  readonly effect: Effect
  readonly route: 'primary' | 'replica' | 'auto' | undefined
  /** Its own bound of lag, in milliseconds; undefined: none. */
  readonly ownLagMillis?: number | undefined
  /** The server keeps it under a name. */
  readonly isNamed: boolean
  /** A cursor or a stream: it answers its own way, as long as its reader pleases. */
  readonly isSubmittable: boolean
}

/** A READ ONLY transaction on a replica, from its BEGIN on. */
export interface Loan<S = Asked> {
  /** The statements so far that shape the transaction: what another server must be told to get where this one is. */
  readonly shape: readonly S[]
  readonly isolation: Isolation
  readonly isDeferrable: boolean
  /** The bound of lag that its replica was chosen by, in milliseconds. */
  readonly lagMillis: number
  /** It has read, so it may have a snapshot. */
  readonly hasRead: boolean
  /** It has what cannot be told to another server: cursors. */
  readonly isFixed: boolean
}

/** What is known of the holder's own connection. */
export interface Own {
  /** There are replicas to borrow, and clients may. */
  readonly lends: boolean
  /** It is ready, nothing waits in line, and it is in no transaction. */
  readonly isIdle: boolean
  /** Its session has state of its own. */
  readonly isTainted: boolean
}

/**
 * here: on the caller's own connection. borrow: a read, on a replica. begin: the transaction begins on a replica. lent: on the
 * connection that the transaction runs on. move: the transaction goes on at the primary, and the statement runs there. chain: it ends
 * where it is, and the next one begins at the primary. refuse: neither server can do it without showing it.
 */
export type Plan = 'here' | 'borrow' | 'begin' | 'lent' | 'move' | 'chain' | 'refuse'

/** Plans a statement of a caller that is in no transaction on a replica. */
export function plan(asked: Asked, own: Own): Plan {
  // Taint, an order to keep, a transaction: each keeps a statement here.
  if (asked.isSubmittable || !own.lends || !own.isIdle || own.isTainted) return 'here'
  if (isPlainRead(asked)) return 'borrow'
  return openingIn(asked) === null ? 'here' : 'begin'
}

/** Plans a statement of a caller in a transaction on a replica. `status`: that transaction's, as its server said last. */
export function planOnLoan(asked: Asked, loan: Loan<unknown>, status: string): Plan {
  const { sql, sqlClass: verdict, effect, isSubmittable } = asked
  const chains = sql !== null && closingOf(sql)?.chains === true
  if (chains && !isSubmittable) return 'chain'
  if (status !== 'T') return 'lent'
  const wants = asksElsewhere(asked, loan)
  // What shapes the transaction is kept, to be sent again elsewhere; of what submits itself nothing can be.
  const isKept = !isSubmittable || verdict?.intent === 'read'
  if (!wants && isKept && !chains && sql !== null && verdict !== null && !needsPrimary(sql, verdict, effect))
    return 'lent'
  if (!isPinned(loan)) return 'move'
  // The rest is refused by the replica in the same words, since the transaction only reads.
  return wants || sql === null || harmsElsewhere(sql, effect) ? 'refuse' : 'lent'
}

/** The primary was asked for, or a bound that is narrower than the one that the replica was chosen by: nothing proves that. */
export function asksElsewhere({ route, ownLagMillis, effect }: Asked, { lagMillis }: Loan<unknown>): boolean {
  const isNarrow = ownLagMillis !== undefined && ownLagMillis < lagMillis
  return (route === 'primary' || isNarrow) && effect !== 'transaction'
}

/** A statement that begins a READ ONLY transaction; null: it does not, or must not leave the primary. */
export function openingIn({ text, route }: Asked): Opening | null {
  if (text === null || route === 'primary' || !/^[\s;]*(?:\/\*|--|begin\b|start\b)/i.test(text)) return null
  const opening = escapesReadOnly(text) ? null : openingOf(text)
  return opening?.readOnly === true ? opening : null
}

/** One statement, not a prepared one, and its caller did not ask for the primary. */
function isPlainRead({ sqlClass: verdict, route, isNamed }: Asked): boolean {
  return verdict !== null && verdict.intent === 'read' && verdict.single && !isNamed && route !== 'primary'
}

/** `sql`: its BEGIN. `isolation`: what that says, or the session's default. `lagMillis`: the bound that its replica was chosen by. */
export function begun<S>(opening: S, sql: string, isolation: Isolation, lagMillis: number): Loan<S> {
  const isDeferrable = deferrableIn(sql) ?? false
  return { shape: [opening], isolation, isDeferrable, lagMillis, hasRead: false, isFixed: false }
}

/** A statement succeeded in the transaction. `kept`: the same, to be sent again elsewhere. */
export function after<S>(loan: Loan<S>, { sql, sqlClass: verdict, effect }: Asked, kept: S): Loan<S> {
  if (effect !== 'transaction' || verdict?.intent === 'read' || sql === null) {
    return loan.hasRead ? loan : { ...loan, hasRead: true }
  }
  const isFixed = loan.isFixed || /\b(?:declare|fetch|move)\b/i.test(sql)
  // A function that shapes the transaction may stand beside rows: select n, set_config(...) from t.
  const hasRead = loan.hasRead || (!onlyShapes(sql) && ROWS.test(sql))
  const isolation = isolationIn(sql) ?? loan.isolation
  const isDeferrable = deferrableIn(sql) ?? loan.isDeferrable
  return { ...loan, hasRead, isFixed, isolation, isDeferrable, shape: [...loan.shape, kept] }
}

/** Rows of a table may be read. */
const ROWS = /\b(?:from|table)\b/i

/** A cursor or a stream was handed out in it. */
export function withStream<S>(loan: Loan<S>): Loan<S> {
  return { ...loan, hasRead: true, isFixed: true }
}

/** A savepoint is open behind these statements, in their order. */
export function isNested(texts: readonly (string | null)[]): boolean {
  const open: string[] = []
  for (const text of texts) {
    const [, word = '', named = ''] = SAVEPOINT.exec(text ?? '') ?? []
    const name = named.startsWith('"') ? named : named.toLowerCase()
    const at = open.lastIndexOf(name)
    if (/^savepoint$/i.test(word)) open.push(name)
    else if (word !== '' && at >= 0) open.length = /^release/i.test(word) ? at : at + 1
  }
  return open.length > 0
}

const SAVEPOINT =
  /^[\s;]*(savepoint|release(?:\s+savepoint)?|rollback(?:\s+(?:work|transaction))?\s+to(?:\s+savepoint)?)\s+("(?:[^"]|"")+"|[\w$]+)/i

/** All its reads are of one snapshot. */
export function keepsSnapshot({ isolation }: Pick<Loan, 'isolation'>): boolean {
  return isolation !== 'read committed'
}

/** It cannot go on at the primary without showing that. */
export function isPinned(loan: Loan<unknown>): boolean {
  return loan.isFixed || (loan.hasRead && keepsSnapshot(loan))
}

/** What AND CHAIN begins: the next transaction has the characteristics of the one before. */
export function chained({ isolation, isDeferrable }: Pick<Loan, 'isolation' | 'isDeferrable'>): string {
  return `begin isolation level ${isolation} read only${isDeferrable ? ' deferrable' : ''}`
}

/** Null: it says nothing of that. */
function deferrableIn(sql: string): boolean | null {
  const [, not, word] = /\b(not\s+)?(deferrable)\b/i.exec(sql) ?? []
  return word === undefined ? null : not === undefined
}
