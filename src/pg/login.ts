// Logging in: a password that a function gives may have been changed since it was asked, so a refused one is asked for once more.

import type { Client } from 'pg'
import { noteOwn } from '../core/cluster/failure.js'
import { errorOf, propertyOf } from '../core/thrown.js'
import { connected } from './own-query.js'

type PasswordFunction = (this: unknown, ...parameters: unknown[]) => unknown

/** The server refused the password (28P01), and a function may know a newer one. */
export function isOutdated(error: unknown, password: unknown): boolean {
  return typeof password === 'function' && propertyOf(error, 'code') === '28P01'
}

/** A client of `make`, logged in: the first, or where its password was outdated the second. */
export async function loggedIn(make: () => Client): Promise<Client> {
  const first = make()
  // pg puts the answer in the function's place.
  const { password } = first as unknown as { readonly password?: unknown }
  try {
    await connected(first)
    return first
  } catch (error) {
    if (!isOutdated(error, password)) throw error
  }
  const second = make()
  await connected(second)
  return second
}

/**
 * The same password; a function's error is known to be the caller's own, whatever code it has. pg takes a connection for ready whose
 * password function threw `undefined`, and it never answers: an error is made of that.
 */
export function ownPassword(password: unknown): unknown {
  if (typeof password !== 'function') return password
  return async function (this: unknown, ...parameters: unknown[]) {
    try {
      return await Reflect.apply(password as PasswordFunction, this, parameters)
    } catch (thrown) {
      const error = errorOf(thrown, 'the password function')
      noteOwn(error)
      throw error
    }
  }
}
