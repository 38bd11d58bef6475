import { totalmem } from 'node:os'

/** What bounds are computed from where the container has no limit. */
const WITHOUT_LIMIT = 2 * 1024 ** 3

/**
 * The memory that the process may use, in bytes: its container's limit (cgroup v1 or v2), or 2 GiB where there is none.
 * @param constrained as `process.constrainedMemory()`: 0, or a number beyond all memory, where nothing limits it
 */
export function memoryLimit(constrained: number = process.constrainedMemory(), total: number = totalmem()): number {
  return constrained > 0 && constrained < total ? constrained : Math.min(total, WITHOUT_LIMIT)
}
