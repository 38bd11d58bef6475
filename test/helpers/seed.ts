/**
 * The seed of tests that play dice: the environment's, else another at every run, so that each run tries something new. In CI (`CI=true`) it is
 * always the same: whether a change lands must not depend on luck. Every test prints its seed.
 * @param variable name of the environment variable that repeats a run
 */
export function seedOf(variable: string): number {
  const given = process.env[variable]
  if (given !== undefined) return Number(given)
  return process.env['CI'] === 'true' ? 20_261_123 : Math.floor(Math.random() * 1_000_000_000)
}
