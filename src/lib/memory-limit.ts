const GIBI = 1024 ** 3
/** What bounds are computed from where the container has no limit, or one that is none. */
const WITHOUT_LIMIT = 2 * GIBI
const NO_LIMIT = 1024 * GIBI

/**
 * The memory that the process may use, in bytes: its container's limit (cgroup v1 or v2), or 2 GiB where there is none.
 * @param constrained as `process.constrainedMemory()`: 0, or a number beyond all memory, where nothing limits it
 */
export function memoryLimit(constrained: number = process.constrainedMemory()): number {
  return constrained > 0 && constrained < NO_LIMIT ? constrained : WITHOUT_LIMIT
}
