export async function probes(): Promise<void> {}
