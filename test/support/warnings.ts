// The warnings that pgherd gives the process, by their codes.

/** The warnings of pgherd while `work` runs, and a little later: they are emitted on the next tick. */
export async function warnings(
  work: () => Promise<void>
): Promise<readonly { readonly code: string; readonly text: string }[]> {
  const told: { readonly code: string; readonly text: string }[] = []
  const hear = (warning: Error & { readonly code?: string }) => {
    if (warning.name === 'PgherdWarning') told.push({ code: warning.code ?? '', text: warning.message })
  }
  process.on('warning', hear)
  try {
    await work()
    await new Promise((resolve) => setImmediate(resolve))
    return told
  } finally {
    process.off('warning', hear)
  }
}
