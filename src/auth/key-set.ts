import type { IssuerConfig } from '../config/schema.ts'
import { systemClock } from '../lib/clock.ts'
import type { Clock } from '../lib/clock.ts'
import { parseJson } from '../lib/json.ts'
import { watchFile } from '../lib/watch-file.ts'
import type { FileContent } from '../lib/watch-file.ts'
import type { Log } from '../telemetry/log.ts'
import { deny, isDenial } from '../telemetry/reason.ts'
import type { Denial } from '../telemetry/reason.ts'
import { importSecret, parseJwks } from './jwks.ts'
import type { ParsedJwks, VerificationKey } from './jwks.ts'
import { createKeyRing } from './key-ring.ts'
import { compileFetchKeys } from './key-source.ts'
import { startRefresher } from './refresher.ts'

/** How an issuer's keys are doing; for metrics, readiness and the config dump. */
export interface KeySetStatus {
  /** Keys in the set. */
  readonly keys: number
  /** Keys of the last good document that were left out, and why. */
  readonly skipped: readonly string[]
  /** Whether tokens can be verified now: there are keys, and they are not older than keys.maxAge. */
  readonly usable: boolean
  /** Milliseconds since the last good fetch; undefined before the first, and for keys that are not fetched: they do not age. */
  readonly ageMs: number | undefined
  /** Why the last attempt failed; undefined when it went well. */
  readonly lastError: string | undefined
  /** Attempts that went well and that failed, since the start. */
  readonly loads: number
  readonly failures: number
}

/** The live keys of one issuer. Isolated: it knows of no other. */
export interface KeySet {
  /**
   * The keys that may have signed a token. An unknown `kid` asks the issuer once per cooldown; only then is the answer a promise, which
   * settles within keys.timeout and never rejects.
   * @param kid `kid` of the token
   * @param algorithm `alg` of the token, already found in the issuer's list
   * @param mayWait false: the answer is of what is at hand, and never a promise
   * @returns one key or more, or `key_unknown`, `keys_unavailable`, `algorithm_refused`
   */
  find(kid: string | undefined, algorithm: string, mayWait?: boolean): readonly VerificationKey[] | Denial | Promise<readonly VerificationKey[] | Denial>
  /**
   * A signature did not verify with the keys found: the issuer may have put another key under their `kid`. Asks it in the background, seldom enough that
   * bad signatures cannot make it a burden; the token at hand is refused all the same.
   */
  doubt(): void
  /** Whether a key found before is still in the set, and the set still usable. */
  holds(key: VerificationKey): boolean
  /** What is in force, and since when it was loaded (monotonic milliseconds), for a set that follows this one. */
  holdings(): { readonly keys: readonly VerificationKey[], readonly loadedAt: number | undefined }
  status(): KeySetStatus
  /** Stops refreshing and watching. What is in force stays in force for those who still hold the set. */
  close(): void
}

export interface KeySetDeps {
  readonly clock?: Clock
  readonly random?: () => number
  readonly log?: Pick<Log, 'info' | 'warn'>
}

/** Keys without `kid`, or with the same one, are each tried; a token cannot make us try more than this. */
const MAX_CANDIDATES = 4

/** Identifies what a key set is made from: on a reload, an issuer with the same identity keeps its key set. */
export function keySetIdentity({ issuer, keys }: IssuerConfig): string {
  return JSON.stringify([issuer, keys])
}

/**
 * Identifies where fetched keys come from and who vouches for it: when the rest of `keys` changes (how often, how long, how many), the keys at hand are as good as before.
 * @returns undefined for keys that are not fetched; those are at hand at once
 */
export function keySetOrigin({ issuer, keys: { discovery, jwksUri, allowHttp, allowedHosts, caFile, bearerTokenFile } }: IssuerConfig): string | undefined {
  return discovery || jwksUri !== undefined ? JSON.stringify([issuer, discovery, jwksUri, allowHttp, allowedHosts, caFile, bearerTokenFile]) : undefined
}

/**
 * Opens an issuer's keys, from wherever its configuration says. Returns at once; keys that come over the network or from a file may come later.
 * @param previous a key set of the same {@link keySetOrigin}, whose keys go on until they are fetched anew
 * @throws Error with one sentence when the configuration itself is wrong: a URL that may not be used, inline keys of which none is usable
 */
export function openKeySet(config: IssuerConfig, deps: KeySetDeps = {}, previous?: KeySet): KeySet {
  const { clock = systemClock, random = Math.random, log } = deps
  const { keys: source } = config
  const ring = createKeyRing(source.secretFile !== undefined)
  let loadedAt = previous?.holdings().loadedAt
  if (previous !== undefined) ring.replace(previous.holdings().keys)
  let skipped: readonly string[] = []
  let lastError: string | undefined
  let loads = 0
  let failures = 0

  const install = (parsed: ParsedJwks): void => {
    loadedAt = clock.monotonic()
    loads++
    lastError = undefined
    const changed = ring.replace(parsed.keys)
    noteSkipped(parsed.skipped)
    if (changed) log?.info('keys of the issuer loaded', { issuer: config.name, keys: ring.size })
  }
  const noteSkipped = (next: readonly string[]): void => {
    const news = next.length > 0 && next.join() !== skipped.join()
    skipped = next
    if (news) log?.warn('some keys of the issuer were skipped', { issuer: config.name, count: next.length, skipped: next.slice(0, 8) })
  }
  const fail = (error: Error): void => {
    failures++
    lastError = error.message.slice(0, 400)
    log?.warn('keys of the issuer could not be loaded', { issuer: config.name, error: lastError, keys: ring.size })
  }

  /** Keys fetched over the network grow old; those in a file or in the configuration are what the operator says now. */
  const maxAge = source.discovery || source.jwksUri !== undefined ? source.maxAge : Infinity
  const usable = (): boolean => loadedAt !== undefined && clock.monotonic() - loadedAt <= maxAge

  const lookUp = (kid: string | undefined, algorithm: string): readonly VerificationKey[] | Denial => {
    if (!usable()) return deny('keys_unavailable', lastError)
    const found = ring.find(kid, algorithm)
    if (found.length > MAX_CANDIDATES) return deny('key_unknown', `${found.length} keys fit and the token does not say which`)
    if (found.length > 0) return found
    if (kid === undefined) return deny('key_unknown', 'the token names no kid, and no key is for its algorithm')
    const named = JSON.stringify(kid.slice(0, 64))
    return ring.knows(kid) ? deny('algorithm_refused', `key ${named} is for another algorithm`) : deny('key_unknown', `kid ${named}`)
  }

  const { demand, doubt, close } = feed()
  return {
    find(kid, algorithm, mayWait = true) {
      const answer = lookUp(kid, algorithm)
      if (!isDenial(answer)) return answer
      if (answer.denied === 'algorithm_refused') {
        doubt()
        return answer
      }
      if (!mayWait) return answer
      return demand()?.then(() => lookUp(kid, algorithm)) ?? answer
    },
    doubt,
    holds: (key) => ring.has(key) && usable(),
    holdings: () => ({ keys: ring.keys, loadedAt }),
    status: () => ({
      keys: ring.size,
      skipped,
      usable: usable(),
      ageMs: loadedAt === undefined || maxAge === Infinity ? undefined : clock.monotonic() - loadedAt,
      lastError,
      loads,
      failures,
    }),
    close,
  }

  /** Starts what brings the keys. */
  function feed(): { demand: () => Promise<void> | undefined, doubt: () => void, close: () => void } {
    const nothing = (): undefined => undefined
    if (source.inline !== undefined) {
      install(parseJwks(source.inline, source.maxKeys))
      return { demand: nothing, doubt: nothing, close: nothing }
    }
    const path = source.file ?? source.secretFile
    if (path !== undefined) {
      const read = source.file === undefined
        ? (text: string): ParsedJwks => ({ keys: [importSecret(text)], skipped: [] })
        : (text: string): ParsedJwks => parseJwks(parseFile(text), source.maxKeys)
      return { demand: nothing, doubt: nothing, close: watchFile(path, take(read), { maxBytes: source.maxBytes }) }
    }
    const fetchKeys = compileFetchKeys(config)
    return startRefresher({
      async load(life) {
        const { body, maxAgeMs } = await fetchKeys(life)
        life.throwIfAborted()
        install(parseJwks(body, source.maxKeys))
        return maxAgeMs
      },
      onFailure: fail,
      refresh: source.refresh,
      cooldown: source.cooldown,
      clock,
      random,
    })
  }

  function take(read: (text: string) => ParsedJwks) {
    return (content: FileContent): void => {
      try {
        if ('error' in content) throw content.error
        install(read(content.text))
      } catch (error) {
        fail(error as Error)
      }
    }
  }
}

function parseFile(text: string): unknown {
  try {
    return parseJson(text)
  } catch {
    throw new Error('the file is not JSON')
  }
}
