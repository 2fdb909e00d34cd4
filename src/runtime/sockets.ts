// How a connection is closed so that nothing given up can still reach the other side.

/** What is asked of a stream to a server. */
export interface Closable {
  readonly connecting?: boolean
  readonly writableEnded?: boolean
  readonly destroyed?: boolean
  destroy(): void
  resetAndDestroy?(): void
}

/**
 * `tcp`: the socket, the only one that can send a reset; undefined where it is not known. `stream`: what is written to, which is the socket
 * or TLS over it. After `end()` or `destroy()` the kernel goes on delivering what was written, and a write that was reported as lost happens
 * later. A reset drops it.
 */
export function reset(tcp: Closable | undefined, stream: Closable | undefined): void {
  // Still connecting: a reset would wait for the connection. Already ending, by us or because the server hung up: libuv
  // refuses a reset during a shutdown (EINVAL), and Node then never closes the handle (nodejs/node, net.Socket#_destroy), nor
  // can the process exit.
  const gone = tcp?.connecting === true || tcp?.writableEnded === true || stream?.writableEnded === true
  if (gone || stream?.destroyed === true || tcp?.resetAndDestroy === undefined) {
    stream?.destroy()
    tcp?.destroy()
    return
  }
  try {
    tcp.resetAndDestroy()
  } catch {
    // A Unix socket cannot be reset (ERR_INVALID_HANDLE_TYPE); its server is on this machine, and sees the close at once.
    stream?.destroy()
  }
}
