/** Under memory limits: the scenarios of test/limits, larger, and what it costs when Node's own pages are charged to the container. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ImageCommand } from '../../helpers/image-command.ts'
import { runScenario, type Outcome } from '../../limits/rig.ts'
import { SCENARIOS } from '../../limits/scenarios.ts'

export const LIMITS = [64, 96] as const
const CHARGED_LIMITS = [64, 96, 128] as const
const SCALE = 2
const WARM = SCENARIOS[0]!

export interface MemoryResult {
  readonly name: string
  /** By limit in MiB. */
  readonly outcomes: Readonly<Record<number, Outcome>>
}

/** A copy of Node that is in nobody's page cache: whoever runs it first is charged for it. */
function coldNode(): { node: string, remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), 'sidegate-limits-node-'))
  const node = join(directory, 'node')
  copyFileSync(process.execPath, node)
  execFileSync('dd', [`of=${node}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'], { stdio: 'ignore' })
  return { node, remove: () => rmSync(directory, { recursive: true }) }
}

/** Every scenario under every limit, each against a fresh sidecar. */
export async function measureMemoryLimits(command: ImageCommand, told: (line: string) => void): Promise<MemoryResult[]> {
  const results: MemoryResult[] = []
  for (const scenario of SCENARIOS) {
    told(scenario.name)
    const outcomes: Record<number, Outcome> = {}
    for (const mebibytes of LIMITS.filter((each) => each >= (scenario.least ?? 0))) outcomes[mebibytes] = await runScenario(scenario, { command, mebibytes, scale: SCALE })
    results.push({ name: scenario.name, outcomes })
  }
  return results
}

/** The warm load where Node's pages count, too, as in the first container of the image on a node. */
export async function measureCharged(command: ImageCommand): Promise<MemoryResult> {
  const outcomes: Record<number, Outcome> = {}
  for (const mebibytes of CHARGED_LIMITS) {
    const { node, remove } = coldNode()
    outcomes[mebibytes] = await runScenario(WARM, { command, mebibytes, scale: SCALE, node }).finally(remove)
  }
  return { name: WARM.name, outcomes }
}
