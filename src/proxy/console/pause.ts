// PAUSE and RESUME: whether units may run, and until when those that may not wait.

export class Pause {
  #until: Promise<void> | null = null
  #end = () => {}

  /** Null: units may run. */
  get until(): Promise<void> | null {
    return this.#until
  }

  begin(): void {
    this.#until ??= new Promise((resolve) => {
      this.#end = resolve
    })
  }

  end(): void {
    this.#until = null
    this.#end()
  }
}
