/** An issuer that misbehaves on demand, and the little that every test of tokens needs. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import * as v from 'valibot'
import { configSchema } from '../../src/config/schema.ts'
import type { Config, IssuerConfig } from '../../src/config/schema.ts'
import type { Clock } from '../../src/lib/clock.ts'
import { startIssuer } from '../../src/demo/issuer.ts'
import type { Issuer, IssuerOptions } from '../../src/demo/issuer.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

const MEBI = 1024 ** 2
const json = { 'content-type': 'application/json' }

/** Ways for an issuer to fail, each as its JWKS endpoint (or every endpoint) answers. `down` is `issuer.stop()`. */
const FAULTS = {
  /** Takes the request and never answers. */
  hang: () => {},
  /** Ends the connection instead of answering. */
  reset: (request) => { request.socket.destroy() },
  /** One byte now and then. */
  drip: (_, response) => {
    response.writeHead(200, { ...json, 'content-length': 5000 })
    const timer = setInterval(() => response.write(' '), 50)
    response.once('close', () => { clearInterval(timer) })
  },
  /** Promises more than it sends. */
  halfBody: (request, response) => {
    response.writeHead(200, { ...json, 'content-length': 5000 })
    response.write('{"keys":[', () => request.socket.destroy())
  },
  html: (_, response) => { response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Maintenance</title>') },
  emptySet: (_, response) => { response.writeHead(200, json).end('{"keys":[]}') },
  noKeys: (_, response) => { response.writeHead(200, json).end('{"error":"not today"}') },
  status500: (_, response) => { response.writeHead(500).end() },
  status404: (_, response) => { response.writeHead(404).end() },
  redirect: (_, response) => { response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data' }).end() },
  /** 100 MiB, as long as the client takes it. */
  huge: (_, response) => {
    response.writeHead(200, json)
    const block = Buffer.alloc(64 * 1024, 0x20)
    let sent = 0
    const more = (): void => {
      while (sent < 100 * MEBI && !response.destroyed) {
        sent += block.length
        if (!response.write(block)) return void response.once('drain', more)
      }
      response.end()
    }
    more()
  },
  /** 8 MiB in 8 KiB. */
  gzipBomb: (_, response) => { response.writeHead(200, { ...json, 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(8 * MEBI, 0x20))) },
  brotli: (_, response) => { response.writeHead(200, { ...json, 'content-encoding': 'br' }).end(Buffer.from([0x8b, 0x00])) },
  /** Switches to a protocol that nobody asked for, and says no more. */
  upgrade: (request) => { request.socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n') },
  otherIssuer: (_, response) => { response.writeHead(200, json).end(JSON.stringify({ issuer: 'https://other.example', jwks_uri: 'https://other.example/jwks' })) },
} satisfies Record<string, Answer>

export type Fault = keyof typeof FAULTS

export interface FaultyIssuer extends Issuer {
  /**
   * Misbehaves from now on; undefined behaves again.
   * @param fault its name, or what to answer
   * @param only requests whose path ends so; default all
   */
  fail(fault: Fault | Answer | undefined, only?: string): void
}

/** Starts an issuer that can be told to misbehave. */
export async function startFaultyIssuer(options: IssuerOptions = {}): Promise<FaultyIssuer> {
  let answer: Answer | undefined
  let at = ''
  const issuer = await startIssuer({
    ...options,
    intercept(request, response) {
      if (!answer || !(request.url ?? '').endsWith(at)) return false
      answer(request, response)
      return true
    },
  })
  return Object.assign(issuer, {
    fail(fault: Fault | Answer | undefined, only = '') {
      answer = typeof fault === 'string' ? FAULTS[fault] : fault
      at = only
    },
  })
}

/** A whole configuration with every default in place, of the fields given. */
export function config(fields: Record<string, unknown>): Config {
  return v.parse(configSchema, { listeners: [{ bind: '127.0.0.1:0', upstream: '127.0.0.1:1' }], ...fields })
}

/** An issuer's configuration with every default in place. */
export function issuerConfig(fields: Record<string, unknown>): IssuerConfig {
  return config({ issuers: [{ name: 'corp', audiences: ['internal-services'], ...fields }] }).issuers[0]!
}

/** The configuration for an issuer of {@link startIssuer}, found by discovery unless `keys` says otherwise. `dir` takes its CA. */
export function configFor(issuer: Issuer, dir: string, fields: Record<string, unknown> = {}, keys: Record<string, unknown> = { discovery: true }): IssuerConfig {
  const trust: Record<string, unknown> = issuer.ca === undefined ? { allowHttp: true } : { caFile: join(dir, 'ca.pem') }
  if (issuer.ca !== undefined) writeFileSync(join(dir, 'ca.pem'), issuer.ca)
  return issuerConfig({ issuer: issuer.url, keys: { ...trust, ...keys }, ...fields })
}

export interface FakeClock extends Clock {
  /** Lets time pass: both clocks go on, and what is due runs. */
  advance(ms: number): void
  /** Moves the wall clock alone: NTP, a suspended machine, an operator. */
  jump(ms: number): void
  /** Delays asked for and not due yet, milliseconds from now. */
  readonly pending: readonly number[]
}

/** A clock that stands still until told otherwise. */
export function fakeClock(start = Date.now()): FakeClock {
  let monotonic = 1000
  let offset = start - monotonic
  let tasks: { at: number, task: () => void }[] = []
  return {
    now: () => monotonic + offset,
    monotonic: () => monotonic,
    after(delayMs, task) {
      const entry = { at: monotonic + delayMs, task }
      tasks.push(entry)
      return () => { tasks = tasks.filter((each) => each !== entry) }
    },
    advance(ms) {
      monotonic += ms
      const due = tasks.filter((each) => each.at <= monotonic)
      tasks = tasks.filter((each) => each.at > monotonic)
      for (const { task } of due) task()
    },
    jump(ms) { offset += ms },
    get pending() { return tasks.map((each) => each.at - monotonic) },
  }
}

/** Waits until something is so, looking every few milliseconds. */
export async function until(holds: () => boolean, what: string, withinMs = 20_000): Promise<void> {
  const end = Date.now() + withinMs
  while (!holds()) {
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => { setTimeout(resolve, 5) })
  }
}
