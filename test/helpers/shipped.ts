/** What ships, built somewhere it disturbs nobody. */
import { once } from 'node:events'
import { mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { imageCommand, type ImageCommand } from './image-command.ts'
import { plainNode } from './sidecar.ts'

export interface Shipped extends ImageCommand {
  /** The image's /app/, with a slash at its end. */
  readonly app: string
  readonly remove: () => void
}

/** Builds it. @throws when that fails */
export async function buildShipped(): Promise<Shipped> {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const app = `${mkdtempSync(join(tmpdir(), 'sidegate-app-'))}/`
  const remove = (): void => { rmSync(app, { recursive: true }) }
  const [code] = await once(plainNode([join(root, 'scripts/build.mjs'), join(app, 'dist')], 'inherit'), 'close') as [number | null]
  if (code !== 0) {
    remove()
    throw new Error(`scripts/build.mjs ended with ${code}`)
  }
  const modules = realpathSync(join(root, 'node_modules'))
  writeFileSync(join(app, 'package.json'), '{"type":"module"}')
  symlinkSync(modules, join(app, 'node_modules'))
  const { entry, flags } = imageCommand(app)
  return { app, entry, flags: [...flags, `--allow-fs-read=${root}`, `--allow-fs-read=${modules}/`, `--allow-fs-read=${tmpdir()}/`], remove }
}
