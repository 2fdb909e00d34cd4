// A bounded memory of answers by text: two generations of a Map, the older one forgotten whole. Never grows beyond its bound.

/** Longer texts are rarely seen twice, and keeping them costs more than reading them again. */
const LONGEST = 4096

export class Memo<T> {
  readonly #most: number
  #young = new Map<string, T>()
  #old = new Map<string, T>()

  constructor(most: number) {
    this.#most = most
  }

  /** Puts another answer in the place of what `make` would give. */
  put(text: string, answer: T): void {
    this.#old.delete(text)
    this.#young.delete(text)
    this.of(text, () => answer)
  }

  /** The remembered answer, or that of `make`, remembered from now on. */
  of(text: string, make: (text: string) => T): T {
    const known = this.#young.get(text)
    if (known !== undefined) return known
    const answer = this.#old.get(text) ?? make(text)
    if (text.length > LONGEST) return answer
    if (this.#young.size >= this.#most) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(text, answer)
    return answer
  }
}
