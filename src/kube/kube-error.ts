/** What the API server answered instead of what was asked for. */
export class KubeError extends Error {
  readonly status: number
  /** The server's machine-readable word, such as `NotFound`, `Conflict`, `AlreadyExists`, `Forbidden`. */
  readonly reason: string

  constructor(status: number, reason: string, message: string) {
    super(message)
    this.name = 'KubeError'
    this.status = status
    this.reason = reason
  }
}

/** Whether somebody else was faster: the object exists already, or has changed since it was read. */
export function isConflict(error: unknown): boolean {
  return error instanceof KubeError && error.status === 409
}

export function isNotFound(error: unknown): boolean {
  return error instanceof KubeError && error.status === 404
}

/** The watch's resource version is too old: list again. */
export function isGone(error: unknown): boolean {
  return error instanceof KubeError && error.status === 410
}

/** The object as it was sent is too large or not valid: to send it again is of no use. */
export function isRefusedObject(error: unknown): boolean {
  return error instanceof KubeError && (error.status === 413 || error.status === 422)
}
