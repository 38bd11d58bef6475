/** The cost curves: what grows, how it is configured and asked for, what is expected, and why. */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { sidegateWith } from '../peers/configs.ts'
import { AUDIENCE, ISSUER, WORK, file, lines, mint, type Keys } from '../workspace.ts'
import type { Curve, Point } from './curve.ts'

const ONE = { tokens: 'tokens-one.txt', path: '/' }
/** No token is kept: as if each were new. */
const NO_CACHE = { cache: { entries: 0 } }
const ANY_TOKEN = { require: {} }

const bare = (port: number): string => sidegateWith(port, {})

/** Rules of which the last matches, and the others are made by their index. */
function rules(counts: readonly number[], other: (at: number) => object, last: object, path: string): Point[] {
  return counts.map((x) => ({
    x, load: { tokens: 'tokens-one.txt', path },
    config: (port) => sidegateWith(port, { rules: [...Array.from({ length: x - 1 }, (_, at) => ({ match: other(at), ...ANY_TOKEN })), { match: last, ...ANY_TOKEN }] }),
  }))
}

/** Issuers with a key of their own each; tokens of all of them in turn, each verified anew. */
function issuers(counts: readonly number[]): Point[] {
  const many = Math.max(...counts)
  const keys = readFileSync(file('issuers.pem', () => Array.from({ length: many }, newKey).join('')), 'utf8').split(/(?<=END PRIVATE KEY-----\n)/).filter(Boolean).map((pem) => createPrivateKey(pem))
  const name = (at: number): string => `${ISSUER}/${at}`
  const jwks = (key: KeyObject, at: number): object => {
    const { kty, n, e } = key.export({ format: 'jwk' })
    return { keys: [{ kty, n, e, kid: `key-${at}`, alg: 'RS256', use: 'sig' }] }
  }
  return counts.map((x) => {
    const tokens = `tokens-issuers-${x}.txt`
    file(tokens, () => lines(1_000, (at) => mint(keys[at % x]!, { iss: name(at % x), sub: `user-${at}` }, { kid: `key-${at % x}` })))
    const configured = keys.slice(0, x).map((key, at) => ({ name: `issuer-${at}`, issuer: name(at), audiences: [AUDIENCE], keys: { inline: jwks(key, at) } }))
    return { x, load: { tokens, path: '/' }, config: (port) => sidegateWith(port, { issuers: configured, ...NO_CACHE }) }
  })
}

const newKey = (): string => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' })

/** A token of so many bytes, or a few less. */
function sized(key: KeyObject, bytes: number, at: number): string {
  const claims = { sub: `user-${at}`, roles: undefined, scope: undefined, tenantId: undefined, email: undefined, jti: undefined, iat: undefined }
  const filler = Math.floor((bytes - mint(key, claims).length) * 3 / 4) - ',"note":""'.length
  return mint(key, filler > 0 ? { ...claims, note: 'x'.repeat(filler) } : claims)
}

function tokenSizes(keys: Keys, sizes: readonly number[], fresh: boolean): Point[] {
  return sizes.map((x) => {
    const tokens = `tokens-${x}k-${fresh ? 'many' : 'one'}.txt`
    file(tokens, () => lines(fresh ? 1_000 : 1, (at) => sized(keys.rsa, x * 1_024, at)))
    return { x, load: { tokens, path: '/' }, config: (port) => sidegateWith(port, fresh ? NO_CACHE : {}) }
  })
}

function denylists(counts: readonly number[]): Point[] {
  return counts.map((x) => {
    const list = `denylist-${x}.json`
    file(list, () => JSON.stringify({ jti: Array.from({ length: x }, (_, at) => `0000${at}-7b54-4d0e-9a61-3f8e2c1a7b54`) }))
    return { x, load: { tokens: 'tokens-thousand.txt', path: '/' }, config: (port) => sidegateWith(port, { ...x > 0 && { denylist: { file: `${WORK}${list}` } }, ...NO_CACHE }) }
  })
}

/** @param keys of the work folder */
export const curves = (keys: Keys): readonly Curve[] => [
  {
    name: 'rules, each with its own path (exact, or a prefix and `**`); the last matches', unit: 'rule', memory: 'idle', expected: 'flat',
    points: () => rules([1, 10, 100, 1_000], (at) => ({ path: at % 2 === 0 ? `/service-${at}/items` : `/service-${at}/**` }), { path: '/orders/**' }, '/orders/4711'),
    why: 'all paths are one tree by segment. A request goes down it as far as its own path is long, by one look into a hash table at each segment. In memory: {memory}.',
  },
  {
    name: 'rules with wildcards (`/tenants/*/...`); the last matches', unit: 'rule', expected: 'flat',
    points: () => rules([1, 10, 100, 1_000], (at) => ({ path: at % 2 === 0 ? `/tenants/*/service-${at}/*` : `/*/*/service-${at}/**` }), { path: '/tenants/*/orders/*' }, '/tenants/acme/orders/4711'),
    why: 'beside the literal branches of a segment there is one for `*`, however many rules share it, and a request tries both.',
  },
  {
    name: 'rules that differ by host only, all for `/**`; the last matches', unit: 'rule', expected: 'flat',
    points: () => rules([1, 10, 100, 1_000], (at) => ({ path: '/**', hosts: [`service-${at}.example.com`] }), { path: '/**' }, '/orders/4711'),
    why: 'rules for the same path are found by the request\'s host, once as it is and once with `*` for its first label. Only rules that share path and host are tried one after the other.',
  },
  {
    name: 'issuers, each token verified anew, all issuers in turn', unit: 'issuer', memory: 'idle', expected: 'flat', points: () => issuers([1, 5, 20, 50]),
    why: 'the issuer is looked up in a hash table by the token\'s `iss`, and its keys by `kid`; no other keys are tried. In memory: {memory}.',
  },
  {
    name: 'header fields in a request', unit: 'field', expected: 'grows', points: () => [5, 10, 25, 50, 100].map((x) => ({ x, config: bare, load: { ...ONE, headers: x } })),
    why: 'each field is parsed, compared with the names that are read or removed, and written again: {cpu}.',
  },
  {
    name: 'size of the token, KiB; the same token each time', unit: 'KiB', expected: 'grows', points: () => tokenSizes(keys, [0.5, 1, 2, 4, 8], false),
    why: 'the bytes are read and parsed, made a string, and compared with the one found: {cpu}.',
  },
  {
    name: 'size of the token, KiB; each verified anew', unit: 'KiB', expected: 'grows', points: () => tokenSizes(keys, [0.5, 1, 2, 4, 8], true),
    why: 'beyond what a known token costs, the bytes are decoded twice (base64url, JSON) and hashed for the signature: {cpu}. The RSA operation does not depend on the size.',
  },
  {
    name: 'entries of the deny-list (token ids), each token verified and looked up anew', unit: 'entry', memory: 'idle', expected: 'flat', points: () => denylists([0, 100, 1_000, 10_000, 100_000]),
    why: 'a token is looked up in hash tables, by id, subject and key; one that is cached not even that, until the list changes. In memory: {memory}.',
  },
  {
    name: 'client connections, all busy; opening them included, windows of 2 s', unit: 'connection', memory: 'loaded', seconds: 2, expected: 'falls',
    // The connection limit tells the configurations apart: each point has a process, and with it memory, of its own.
    points: () => [1, 10, 100, 1_000, 2_000].map((x) => ({ x, config: (port) => sidegateWith(port, { limits: { connections: 10_000 + x } }), load: { ...ONE, connections: x } })),
    why: 'a single connection leaves nothing to do together: each request wakes the process, twice. With more, one wake-up serves many. In memory, under load: {memory}.',
  },
]
