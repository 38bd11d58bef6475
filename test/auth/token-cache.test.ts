import * as fc from 'fast-check'
import t from 'tap'
import { randomBytes } from 'node:crypto'
import { createAuthenticator } from '../../src/auth/authenticator.ts'
import type { Denylist } from '../../src/auth/denylist.ts'
import { createKeyRing } from '../../src/auth/key-ring.ts'
import type { KeySet } from '../../src/auth/key-set.ts'
import { importJwk } from '../../src/auth/jwks.ts'
import type { VerificationKey } from '../../src/auth/jwks.ts'
import { createTokenCache } from '../../src/auth/token-cache.ts'
import type { TokenCache, Verified } from '../../src/auth/token-cache.ts'
import type { Authenticator } from '../../src/auth/types.ts'
import type { IssuerConfig } from '../../src/config/schema.ts'
import { mintKey } from '../../src/demo/issuer.ts'
import { deny, isDenial } from '../../src/telemetry/reason.ts'
import { fakeClock } from '../helpers/issuer.ts'
import { holds, holdsAsync } from '../helpers/property.ts'
import { forge, goodClaims, inlineIssuer, signerOf } from '../helpers/tokens.ts'

const verified = (name: string): Verified => ({ subject: name }) as unknown as Verified
const put = (cache: TokenCache, name: string, signature = randomBytes(64)): void => { cache.put(name, verified(name), signature) }

t.test('keeps every token while there is room; finds exactly the same token', async (t) => {
  const cache = createTokenCache(100)
  for (let i = 0; i < 100; i++) put(cache, `token-${i}`)
  t.equal(cache.size, 100)
  for (let i = 0; i < 100; i++) t.equal(cache.get(`token-${i}`)?.subject, `token-${i}`)
  t.equal(cache.get('token-100'), undefined)
  t.equal(cache.get('Token-1'), undefined)
  t.match(cache, { hits: 100, misses: 2 })
})

t.test('a flood of tokens seen once pushes nothing out; one seen twice takes the place of one not in use', async (t) => {
  const cache = createTokenCache(64)
  for (let i = 0; i < 64; i++) put(cache, `good-${i}`)
  for (let i = 0; i < 60; i++) cache.get(`good-${i}`)
  for (let i = 0; i < 50_000; i++) put(cache, `flood-${i}`)
  t.equal(cache.size, 64)
  const kept = Array.from({ length: 64 }, (_, i) => cache.get(`good-${i}`)).filter(Boolean).length
  t.equal(kept, 64)
  for (let i = 0; i < 60; i++) cache.get(`good-${i}`)

  const signature = randomBytes(64)
  const idle = createTokenCache(4)
  for (const name of ['a', 'b', 'c', 'd']) put(idle, name)
  for (const name of ['a', 'b', 'd']) idle.get(name)
  put(idle, 'new', signature)
  t.equal(idle.get('new'), undefined, 'seen once')
  put(idle, 'new', signature)
  t.equal(idle.get('new')?.subject, 'new', 'seen twice')
  t.equal(idle.get('c'), undefined, 'the one not in use went')
  t.same(['a', 'b', 'd'].map((name) => idle.get(name)?.subject), ['a', 'b', 'd'])
})

t.test('where all are in use, one of them makes way', async (t) => {
  const cache = createTokenCache(4)
  for (const name of ['a', 'b', 'c', 'd']) put(cache, name)
  for (const name of ['a', 'b', 'c', 'd']) cache.get(name)
  put(cache, 'new', Buffer.alloc(8, 7))
  put(cache, 'new', Buffer.alloc(8, 7))
  t.equal(cache.get('new')?.subject, 'new')
  t.equal(cache.size, 4)
})

t.test('forgets a dropped token and has room again; capacity 0 keeps nothing', async (t) => {
  const cache = createTokenCache(3)
  for (const name of ['a', 'b', 'c']) put(cache, name)
  cache.drop('a')
  cache.drop('a')
  cache.drop('never')
  t.equal(cache.get('a'), undefined)
  put(cache, 'd')
  t.same(['b', 'c', 'd'].map((name) => cache.get(name)?.subject), ['b', 'c', 'd'])
  const none = createTokenCache(0)
  put(none, 'a')
  t.equal(none.get('a'), undefined)
})

t.test('large tokens leave room for fewer: the whole is bounded, too', async (t) => {
  const cache = createTokenCache(16)
  for (let i = 0; i < 100; i++) for (let again = 0; again < 2; again++) put(cache, `${i}`.padStart(4096, 'x'), Buffer.alloc(8, i + 1))
  t.equal(cache.size, 4, '16 KiB of tokens')
  put(cache, 'x'.repeat(16 * 1024 + 1))
  t.equal(cache.get('x'.repeat(16 * 1024 + 1)), undefined, 'one that would take it all')
  t.equal(cache.size, 4)
  for (let i = 0; i < 100; i++) for (let again = 0; again < 2; again++) put(cache, `small ${i}`, Buffer.alloc(8, i + 101))
  t.equal(cache.size, 16, 'small ones fill it up to their number')
})

t.test('two tokens with one ending are two tokens', async (t) => {
  const cache = createTokenCache(8)
  const ending = '.'.padEnd(64, 's')
  put(cache, `first${ending}`)
  t.equal(cache.get(`forged${ending}`), undefined)
  put(cache, `second${ending}`)
  cache.drop(`second${ending}`)
  t.equal(cache.get(`first${ending}`)?.subject, `first${ending}`)
  t.equal(cache.size, 1)
  cache.drop(`first${ending}`)
  t.equal(cache.size, 0)
})

t.test('any sequence of calls: bounded, and never another token\'s verdict', async (t) => {
  const call = fc.record({ what: fc.constantFrom('put', 'put', 'get', 'get', 'drop'), token: fc.integer({ min: 0, max: 30 }) })
  holds(t, 'bounded and exact', fc.tuple(fc.integer({ min: 1, max: 12 }), fc.array(call, { maxLength: 300 })), ([capacity, calls]) => {
    const cache = createTokenCache(capacity)
    const signatures = Array.from({ length: 31 }, () => randomBytes(8))
    for (const { what, token } of calls) {
      // Every other one ends like the others of its kind.
      const name = token % 2 ? `token-${token}`.padEnd(token * 100) : `token-${token}`.padStart(token * 100)
      if (what === 'put') put(cache, name, signatures[token])
      else if (what === 'drop') cache.drop(name)
      else if (![undefined, name].includes(cache.get(name)?.subject)) return false
      if (cache.size > capacity) return false
    }
    return true
  }, 300)
})

/** A key set whose keys come and go by hand. */
function looseKeySet(): KeySet & { replace(keys: VerificationKey[]): void } {
  const ring = createKeyRing()
  return {
    find: (kid, algorithm) => {
      const keys = ring.find(kid, algorithm)
      return keys.length > 0 ? keys : deny('key_unknown')
    },
    doubt: () => {},
    holds: (key) => ring.has(key),
    holdings: () => ({ keys: ring.keys, loadedAt: 0 }),
    status: () => ({ keys: ring.size, skipped: [], usable: true, ageMs: 0, lastError: undefined, loads: 1, failures: 0 }),
    close: () => {},
    replace(keys) { ring.replace(keys) },
  }
}

t.test('never a verdict that a fresh verification would not give: time both ways, keys, rules, deny-list, in any order', async (t) => {
  const keys = await Promise.all([mintKey('ES256', 'k0'), mintKey('ES256', 'k1')])
  const imported = keys.map((key) => importJwk(key.jwk) as VerificationKey)
  const base = 1_800_000_000
  const tokens = keys.flatMap((key, at) => [
    goodClaims('https://auth.internal', { sub: 'bob', jti: `a${at}`, iat: base, exp: base + 600 }),
    goodClaims('https://auth.internal', { sub: 'eve', jti: `b${at}`, iat: base - 300, nbf: base + 200, exp: base + 300, aud: ['internal-services', 'two'] }),
  ].map((claims) => forge({ alg: 'ES256', kid: key.kid }, claims, signerOf(key))))
  const rules: IssuerConfig[] = [
    inlineIssuer([]), inlineIssuer([], { audiences: ['two'] }), inlineIssuer([], { maxTokenAge: '5m' }), inlineIssuer([], { algorithms: ['RS256'] }),
    inlineIssuer([], { issuer: 'https://elsewhere.internal' }), inlineIssuer([], { tokenType: 'at+jwt' }), inlineIssuer([], { requiredClaims: ['nbf'] }),
  ]
  const step = fc.oneof(
    { weight: 12, arbitrary: fc.record({ what: fc.constant('use' as const), value: fc.nat({ max: tokens.length - 1 }) }) },
    fc.record({ what: fc.constant('jump' as const), value: fc.integer({ min: -500, max: 500 }) }),
    fc.record({ what: fc.constant('keys' as const), value: fc.nat({ max: 3 }) }),
    fc.record({ what: fc.constant('rules' as const), value: fc.nat({ max: rules.length - 1 }) }),
    fc.record({ what: fc.constant('deny' as const), value: fc.nat({ max: 3 }) }),
  )
  let uses = 0
  let hits = 0
  await holdsAsync(t, 'the same verdict', fc.array(step, { minLength: 5, maxLength: 80 }), async (steps) => {
    const clock = fakeClock(base * 1000)
    const keySet = looseKeySet()
    keySet.replace(imported)
    let denied: string[] = []
    const denylist: Denylist = {
      check: (principal) => denied.includes(principal.claims.jti as string) ? deny('token_revoked') : undefined,
      get edition() { return denied },
      status: () => ({ entries: denied.length, lastError: undefined }),
      close: () => {},
    }
    const shared = createTokenCache(3)
    const open = (config: IssuerConfig, cache: TokenCache): Authenticator =>
      createAuthenticator({ issuers: [config], keySets: new Map([['corp', keySet]]), cache, denylist, clock })
    let config = rules[0]!
    for (const { what, value } of steps) {
      if (what === 'jump') clock.jump(value * 1000)
      else if (what === 'keys') keySet.replace(imported.filter((_, index) => value & (1 << index)))
      else if (what === 'rules') config = rules[value]!
      else if (what === 'deny') denied = [[], ['a0'], ['b1'], ['a0', 'a1', 'b0', 'b1']][value]!
      else {
        const token = tokens[value]!
        const before = await open(config, shared).authenticate(token)
        const fresh = await open(config, createTokenCache(0)).authenticate(token)
        uses++
        const verdict = (answer: unknown): string => isDenial(answer) ? answer.denied : JSON.stringify((answer as Verified).claims)
        if (verdict(before) !== verdict(fresh)) throw new Error(`cached ${verdict(before)}, fresh ${verdict(fresh)}`)
      }
    }
    hits += shared.hits
  }, 150)
  t.ok(hits > 100, `${uses} uses, ${hits} of them found in the cache`)
})
