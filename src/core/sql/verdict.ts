// What the classifier says of a text.

import type { Undone } from '../undone.js'

export type Intent = 'read' | 'write' | 'session'

/** Where a text asks to run, in a comment at its beginning. */
export type Hint = 'primary' | 'replica'

export interface Verdict {
  readonly intent: Intent
  /** The deciding word or name as the user would recognise it: 'INSERT', 'nextval', 'FOR UPDATE', ';'. */
  readonly word: string
  readonly reason: string
  /** False: `word` is how the text goes on where it cannot be read. */
  readonly readable: boolean
  /** Exactly one statement; comments and empty statements do not count. */
  readonly single: boolean
  /** What a server takes back when it refuses the text. */
  readonly undone: Undone
  /** It ends or begins transactions: of several statements, what came before may be committed when a later one is refused. */
  readonly controls: boolean
  /** It may change what functions, views or kinds of tables there are: what is known of names may be outdated. */
  readonly defines: boolean
  /** From a comment before everything else: `pgherd:primary` or `pgherd:replica`. */
  readonly hint: Hint | null
}
