import * as v from 'valibot'
import { denylistSchema } from '../config/schema.ts'
import type { DenylistConfig } from '../config/schema.ts'
import { parseTime } from '../config/values.ts'
import { watchFile } from '../lib/watch-file.ts'
import type { FileContent } from '../lib/watch-file.ts'
import { parseUniqueJson } from '../lib/json.ts'
import { createStringSet, type StringSet } from '../lib/string-set.ts'
import type { Log } from '../telemetry/log.ts'
import { deny } from '../telemetry/reason.ts'
import type { Denial } from '../telemetry/reason.ts'
import type { Principal } from './types.ts'

export interface DenylistStatus {
  /** Entries in force, of the configuration and the file together. */
  readonly entries: number
  /** Why the file's last change was refused; undefined when it is in force. */
  readonly lastError: string | undefined
}

/** Tokens that are no longer good although their issuer signed them. */
export interface Denylist {
  /** Looks at what the token says, never at its bytes: another encoding or signature of the same token is the same token. */
  check(principal: Principal): Denial | undefined
  /** Another object after each change: a principal that one edition let pass need not be looked up in it again. */
  readonly edition: object
  status(): DenylistStatus
  close(): void
}

export interface DenylistDeps {
  readonly log?: Pick<Log, 'info' | 'warn' | 'error'>
  /** Milliseconds between looks at the file. */
  readonly interval?: number
}

/** Stands for "every issuer" or "every subject": no name can be taken for it. */
const ANY = Symbol('any')
/** Issuer (configured name or `iss`), then subject, to the Unix second before which a token is too old. */
type BySubject = Map<string | typeof ANY, number>
type Times = Map<string | typeof ANY, BySubject>

/** Compiled entries. */
interface Entries {
  readonly jti: StringSet
  readonly sub: StringSet
  readonly kid: StringSet
  readonly issuedBefore: Times
  readonly size: number
}

/** The fields that may be long. */
const LISTS = ['jti', 'sub', 'kid'] as const
type List = (typeof LISTS)[number]

type Row = NonNullable<DenylistConfig['issuedBefore']>[number]

/** @throws Error when the text is no time */
function seconds(time: Row['time']): number {
  const value = parseTime(time)
  if (value !== undefined) return value
  throw new Error(`issuedBefore time ${JSON.stringify(time)} is neither Unix seconds nor RFC 3339 such as 2026-01-31T12:00:00Z`)
}

function compileTimes(rows: readonly Row[]): Times {
  const times: Times = new Map()
  for (const { issuer = ANY, sub = ANY, time } of rows) {
    const bySubject = times.get(issuer) ?? new Map() as BySubject
    times.set(issuer, bySubject.set(sub, Math.max(seconds(time), bySubject.get(sub) ?? -Infinity)))
  }
  return times
}

function compile(lists: readonly DenylistConfig[]): Entries {
  const all = (name: List): StringSet => createStringSet(...lists.map((list) => list[name] ?? []))
  const [jti, sub, kid] = [all('jti'), all('sub'), all('kid')]
  const issuedBefore = compileTimes(lists.flatMap((list) => list.issuedBefore ?? []))
  const times = [...issuedBefore.values()].reduce((sum, bySubject) => sum + bySubject.size, 0)
  return { jti, sub, kid, issuedBefore, size: jti.size + sub.size + kid.size + times }
}

/** Reads the file's text. YAML is loaded only for a file that is not JSON. */
async function parseText(text: string): Promise<unknown> {
  if (/^\s*\{/.test(text)) return parseUniqueJson(text)
  const { parse } = await import('yaml')
  return parse(text, { logLevel: 'error' }) as unknown
}

/** @throws Error with every problem of the file */
async function parseFile(path: string, text: string): Promise<DenylistConfig> {
  let document: unknown
  try {
    document = await parseText(text)
  } catch (error) {
    throw new Error(`the deny-list ${path} is neither JSON nor YAML: ${(error as Error).message.split('\n')[0]}`, { cause: error })
  }
  // What was emptied by a full disk, or is not written yet, lifts no revocation.
  if (typeof document !== 'object' || document === null || Array.isArray(document)) throw new Error(`the deny-list ${path} is empty or no object; for a list without entries write {}`)
  const [rest, lists] = takeLists(document)
  const { success, issues, output } = v.safeParse(denylistSchema, rest)
  if (!success) {
    const problems = issues.slice(0, 10).map((issue) => `${v.getDotPath(issue) ?? '(top)'}: ${issue.message}`)
    throw new Error(`the deny-list ${path} is wrong: ${problems.join('; ')}`)
  }
  if (output.file !== undefined) throw new Error(`the deny-list ${path} is wrong: a deny-list file cannot name another file`)
  return { ...output, ...lists }
}

/** Takes the lists that are right out of a document: the schema would copy them, and a hundred thousand entries are many megabytes. */
function takeLists(document: unknown): [rest: unknown, lists: Partial<Record<List, string[]>>] {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return [document, {}]
  const rest: Record<string, unknown> = { ...document }
  const lists: Partial<Record<List, string[]>> = {}
  for (const name of LISTS) {
    const list = rest[name]
    if (!Array.isArray(list) || !list.every((entry) => typeof entry === 'string' && entry !== '')) continue
    lists[name] = list as string[]
    delete rest[name]
  }
  return [rest, lists]
}

/** @throws Error with the file's name, when one of its times is none */
function compileFile(path: string, inline: DenylistConfig, list: DenylistConfig): Entries {
  try {
    return compile([inline, list])
  } catch (error) {
    throw new Error(`the deny-list ${path} is wrong: ${(error as Error).message}`, { cause: error })
  }
}

/** Whether a token was issued before any time that applies to it. One that does not say when it was issued may have been. */
function tooOld(times: Times, { issuer, subject, issuedAt, claims }: Principal): boolean {
  const before = (time: number | undefined): boolean => time !== undefined && (issuedAt === undefined || issuedAt < time)
  const covers = (bySubject: BySubject | undefined): boolean =>
    bySubject !== undefined && (before(bySubject.get(ANY)) || (subject !== undefined && before(bySubject.get(subject))))
  return covers(times.get(ANY)) || covers(times.get(issuer)) || covers(times.get(claims.iss as string))
}

function find(entries: Entries, principal: Principal): string | undefined {
  const { claims, subject, kid } = principal
  if (typeof claims.jti === 'string' && entries.jti.has(claims.jti)) return 'jti'
  if (subject !== undefined && entries.sub.has(subject)) return 'sub'
  if (kid !== undefined && entries.kid.has(kid)) return 'kid'
  if (entries.issuedBefore.size > 0 && tooOld(entries.issuedBefore, principal)) return 'issuedBefore'
  return undefined
}

/**
 * Opens the deny-list: the entries of the configuration and those of its file together. The file is watched; a change is in force within a
 * second, and a bad one is refused, told, and the old one kept.
 * @throws Error with one sentence when the file cannot be read or is wrong now, or an entry of the configuration is wrong: a deny-list that
 *   was asked for and is not there must not look like an empty one
 */
export async function openDenylist(config: DenylistConfig | undefined, deps: DenylistDeps = {}): Promise<Denylist> {
  const { log, interval = 250 } = deps
  const { file, ...inline } = config ?? {}
  let entries = compile([inline])
  // Not the entries themselves: cached principals hold on to it, and must not keep an old list alive.
  let edition = {}
  let lastError: string | undefined

  const take = async (path: string, content: FileContent): Promise<void> => {
    if ('error' in content) throw new Error(`the deny-list ${path} cannot be read: ${content.error.message}`)
    const list = await parseFile(path, content.text)
    entries = compileFile(path, inline, list)
    edition = {}
    lastError = undefined
    log?.info('deny-list in force', { file: path, entries: entries.size })
  }

  let close = (): void => {}
  if (file !== undefined) {
    let first: Promise<void> | undefined
    // One after the other: the last one that was read is the one that stays, however long each takes.
    let taking: Promise<void> = Promise.resolve()
    close = watchFile(file, (content) => {
      const taken = taking.then(() => take(file, content))
      first ??= taken
      taking = taken.catch((error: unknown) => {
        lastError = (error as Error).message
        log?.error('deny-list refused; the old one stays in force', { file, error: lastError })
      })
    }, { interval })
    try {
      await first
    } catch (error) {
      close()
      throw error
    }
  }

  return {
    check(principal) {
      if (entries.size === 0) return undefined
      const by = find(entries, principal)
      return by === undefined ? undefined : deny('token_revoked', by)
    },
    get edition() { return edition },
    status: () => ({ entries: entries.size, lastError }),
    close: () => { close() },
  }
}
