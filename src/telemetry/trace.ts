/** W3C Trace Context: the sidecar passes `traceparent` on untouched and puts its trace id into the log. */

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?$/

/**
 * Finds the trace id of a request.
 * @param headers flat list of names and values
 * @returns 32 hex digits, or undefined when there is no valid `traceparent` or more than one (W3C Trace Context section 3.2)
 */
export function traceId(headers: readonly string[]): string | undefined {
  let found: string | undefined
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if (name.length !== 11 || name.toLowerCase() !== 'traceparent') continue
    if (found !== undefined) return undefined
    found = headers[i + 1]!
  }
  const match = found === undefined ? null : TRACEPARENT.exec(found)
  if (match === null || /^0+$/.test(match[1]!) || /^0+$/.test(match[2]!)) return undefined
  return match[1]
}
