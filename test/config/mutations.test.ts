/** One thing changed in a good configuration: the validator never throws, and what it accepts, the request path's parts can be made of. */
import * as fc from 'fast-check'
import t from 'tap'
import { parse } from 'yaml'
import { compileExtractor } from '../../src/auth/extract.ts'
import { compileIdentity } from '../../src/auth/identity.ts'
import { EXAMPLE } from '../../src/config/docs.ts'
import { validateConfig } from '../../src/config/validate.ts'
import { compileForwarding } from '../../src/http/forwarded.ts'
import { compileRules } from '../../src/policy/rules.ts'
import { codeUnit, holds } from '../helpers/property.ts'

type Path = readonly (string | number)[]

const GOOD = {
  ...parse(EXAMPLE) as Record<string, unknown>,
  tokens: [{ header: 'Authorization', scheme: 'Bearer' }, { cookie: 'session' }, { query: 'access_token' }],
  paths: { caseSensitive: false, ignoreExtension: true }, forwarded: { trustedProxies: ['10.0.0.0/8', 'fd00::/8'] }, upgrades: ['websocket'], limits: { headerBytes: '32KiB', idleTimeout: '75s' },
  denylist: { jti: ['a'], issuedBefore: [{ issuer: 'corp', time: '2026-01-01T00:00:00Z' }] }, probes: { 'app/liveness': { type: 'http', address: '127.0.0.1:8080', path: '/x' } },
}

/** Every place in a value, its own included. */
function places(value: unknown, path: Path = []): readonly Path[] {
  const below = typeof value === 'object' && value !== null ? Object.entries(value).flatMap(([key, one]) => places(one, [...path, Array.isArray(value) ? Number(key) : key])) : []
  return [path, ...below]
}

/** A copy with something else at one place. */
function changed(value: unknown, [step, ...rest]: Path, other: unknown): unknown {
  if (step === undefined) return other
  const copy = Array.isArray(value) ? [...value as unknown[]] : { ...value as object }
  return Object.assign(copy, { [step]: changed((value as Record<string | number, unknown>)[step], rest, other) })
}

const text = fc.oneof(
  fc.string({ unit: codeUnit, maxLength: 8 }),
  fc.constantFrom('', '/', '/**', '/*/a', '//', '/a/..', '*.example.com', '*', '**', 'K', '/ß', '0', '0s', '1d', '::1', '[::1]:80', '127.0.0.1:0', '0.0.0.0/0', 'Host', 'x_user.id', '__proto__', 'constructor', 'a b', 'http://a', 'GET', 'h2c', 'audit', 'anonymous', 'corp'),
)
const anything = fc.oneof(text, fc.jsonValue({ maxDepth: 2 }), fc.constantFrom<unknown>(null, true, false, 0, -1, 1.5, Infinity, Number.NaN, [], {}, [[]], undefined), fc.array(text, { maxLength: 3 }))
const mutation = fc.tuple(fc.constantFrom(...places(GOOD)), anything)

t.test('properties', (t) => {
  t.ok(validateConfig(GOOD).config, 'the good one is good')
  let accepted = 0
  holds(t, 'no change makes the validator throw, and a refusal has its reasons', mutation, ([path, other]) => {
    const { config, problems } = validateConfig(changed(GOOD, path, other))
    if (config === undefined) return problems.length > 0
    accepted++
    // None of these throws, and rules answer.
    compileIdentity(config.identity)
    compileForwarding(config.forwarded.trustedProxies)
    compileExtractor(config.tokens, config.limits.tokenBytes)
    compileRules(config).match({ method: 'GET', path: '/a', host: 'x', headers: [] })
    return problems.length === 0
  }, 800)
  t.ok(accepted > 20, `${accepted} were accepted`)
  t.end()
})
