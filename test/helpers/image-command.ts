/** The image's command as the Dockerfile has it, so that what is tested and measured is started exactly as what ships. */
import { readFileSync } from 'node:fs'

export interface ImageCommand {
  /** Node's flags, permissions included. */
  readonly flags: readonly string[]
  /** The program. */
  readonly entry: string
}

/**
 * Reads the Dockerfile's ENTRYPOINT.
 * @param app the folder that stands for the image's /app/, with a slash at its end
 */
export function imageCommand(app: string): ImageCommand {
  const dockerfile = readFileSync(new URL('../../Dockerfile', import.meta.url), 'utf8')
  const words = JSON.parse(/^ENTRYPOINT (\[[^\]]*\])$/m.exec(dockerfile)?.[1] ?? '[]') as string[]
  const [program, ...rest] = words.map((word) => word.replace(/(^|=)\/app\//, `$1${app}`))
  const entry = rest.pop()
  if (!program?.endsWith('/node') || !entry?.startsWith(app) || rest.some((word) => !word.startsWith('--'))) throw new Error('the Dockerfile has no ENTRYPOINT of the form [node, flags, program]')
  return { flags: rest, entry }
}
