/**
 * llhttp, the strict HTTP/1.1 parser of Node and undici, as the WebAssembly build that undici ships. The path into undici is
 * pinned by package-lock.json and by test/http/engine/llhttp.test.ts, which also holds the build to the strictness relied on here.
 * No lenient flag is ever set. What llhttp lets through and we do not is refused in framing.ts.
 *
 * A parser reads one message at a time and stops after its head and after its end, so that the connection decides what is next.
 * Bodies with a Content-Length never come here: only heads, chunked bodies and their trailers are copied into the parser's memory.
 */
import build from 'undici/lib/llhttp/llhttp_simd-wasm.js'
import { detach } from '../../lib/detach.ts'

/** The error numbers of llhttp that mean something to us (undici/lib/llhttp/constants.js). */
const OK = 0
const PAUSED = 21
const PAUSED_UPGRADE = 22
export const INVALID_VERSION = 9
export const FRAMING_ERRORS: ReadonlySet<number> = new Set([4, 11, 15])
/** llhttp's "user" error: a callback of ours refused (too many header fields). */
export const TOO_MANY_FIELDS = 24

export const REQUEST = 1
export const RESPONSE = 2

/** Bytes parsed at most in one call. */
const WINDOW = 65_536
/** Above this many bytes the end of a head is looked for first, so that a body behind it is not copied. */
const SEARCH_ABOVE = 2_048

/** The little of WebAssembly's own types that is needed; TypeScript keeps them with the browser's. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown }
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  _initialize(): void
  malloc(size: number): number
  llhttp_alloc(type: number): number
  llhttp_reset(parser: number): void
  llhttp_resume(parser: number): void
  llhttp_execute(parser: number, data: number, length: number): number
  llhttp_get_error_pos(parser: number): number
  llhttp_get_http_major(parser: number): number
  llhttp_get_http_minor(parser: number): number
  llhttp_get_method(parser: number): number
  llhttp_method_name(method: number): number
}

/** The parser whose bytes are being read; llhttp calls back synchronously and never re-enters. */
let current: Parser
/** The bytes of a head being read, as a string of which its names and values are pieces. None for a body: what trailers there are is copied out of it. */
let text: string | undefined
let length = 0
/** Body spans found by the last call: from, to, from, to ... relative to where the call began. */
const spans: number[] = []

const slice = (at: number, size: number): string => text === undefined ? window().toString('latin1', at - base, at - base + size) : text.substring(at - base, at - base + size)

const callbacks = {
  wasm_on_message_begin: () => OK,
  wasm_on_url: (_parser: number, at: number, size: number) => { current.target += slice(at, size); return OK },
  wasm_on_status: (_parser: number, at: number, size: number) => { current.reasonPhrase += slice(at, size); return OK },
  wasm_on_header_field: (_parser: number, at: number, size: number) => current.onName(slice(at, size), at - base),
  wasm_on_header_value: (_parser: number, at: number, size: number) => current.onValue(slice(at, size)),
  wasm_on_headers_complete: (_parser: number, status: number) => current.onHead(status),
  wasm_on_body: (_parser: number, at: number, size: number) => { spans.push(at - base, at - base + size); return OK },
  wasm_on_message_complete: () => current.onEnd(),
}

let wasm: Exports
let base = 0
let methods: readonly string[] = []

/** Compiles the parser, once. Not when the module is loaded: `--check` and the controller need none. */
export function loadLlhttp(): void {
  if (base !== 0) return
  wasm = new WebAssembly.Instance(new WebAssembly.Module(build), { env: callbacks }).exports as Exports
  wasm._initialize()
  base = wasm.malloc(WINDOW)
  methods = methodNames()
}

let view = Buffer.alloc(0)
/** The parser's input window. Made anew when the memory has grown, which detaches every older view: it is empty then. */
function window(): Buffer {
  if (view.length === 0) view = Buffer.from(wasm.memory.buffer, base, WINDOW)
  return view
}

function methodNames(): string[] {
  const names: string[] = []
  const memory = Buffer.from(wasm.memory.buffer)
  for (let method = 0; method <= 46; method++) {
    const at = wasm.llhttp_method_name(method)
    names.push(memory.toString('latin1', at, memory.indexOf(0, at)))
  }
  return names
}

/** One message parser. Take it by {@link leaseParser}, give it back by {@link releaseParser}. */
export class Parser {
  readonly type: number
  /** Flat list of the head, or, after {@link headDone}, of the trailers: name, value ... as on the wire, values trimmed. */
  headers: string[] = []
  target = ''
  reasonPhrase = ''
  /** The head's text as far as it was read, byte for byte. */
  raw = ''
  /** Where in {@link raw} each field's name begins. */
  starts: number[] = []
  status = 0
  headDone = false
  ended = false
  /** llhttp's error number, or 0. Once set the parser reads nothing more. */
  error = 0
  /** Header fields allowed in a head and its trailers together. */
  maxFields = 0
  #inValue = false
  /** Pieces that something was read in. */
  #pieces = 0
  readonly #pointer: number

  constructor(type: number) {
    loadLlhttp()
    this.type = type
    this.#pointer = wasm.llhttp_alloc(type)
  }

  get method(): string { return methods[wasm.llhttp_get_method(this.#pointer)]! }
  get major(): number { return wasm.llhttp_get_http_major(this.#pointer) }
  get minor(): number { return wasm.llhttp_get_http_minor(this.#pointer) }
  /** Body bytes found by the last {@link body}: from, to, from, to ... relative to that call's `from`. Valid until the next call on any parser. */
  get spans(): readonly number[] { return spans }

  /** Makes it ready for a new message. */
  reset(maxFields: number): void {
    wasm.llhttp_reset(this.#pointer)
    this.headers = []
    this.target = ''
    this.reasonPhrase = ''
    this.raw = ''
    this.starts = []
    this.status = 0
    this.headDone = false
    this.ended = false
    this.error = 0
    this.maxFields = maxFields
    this.#inValue = false
    this.#pieces = 0
  }

  /**
   * Reads bytes of a head; stops right behind it.
   * @returns the position of the first byte not read; look at {@link headDone} and {@link error}
   */
  head(bytes: Buffer, from: number, to: number): number {
    for (let start = from; ;) {
      let end = to
      if (to - start > SEARCH_ABOVE) {
        const found = bytes.indexOf('\r\n\r\n', start, 'latin1')
        if (found >= 0 && found + 4 < to) end = found + 4
      }
      length = Math.min(end - start, WINDOW)
      bytes.copy(window(), 0, start, start + length)
      const whole = text = view.toString('latin1', 0, length)
      const at = start + execute(this, this.#pointer)
      const read = at - start === length ? whole : whole.slice(0, at - start)
      this.raw = this.raw === '' ? read : this.#joined(this.raw + read)
      // A head cut by an earlier call may end before the place found here; llhttp alone says where it ends.
      if (at !== end || end === to || this.headDone || this.error !== 0) return at
      start = at
    }
  }

  /** Goes on behind the head: the chunked body is read by {@link body}. The trailers will be in {@link headers}. */
  startBody(): void {
    this.headers = []
    this.#inValue = false
    wasm.llhttp_resume(this.#pointer)
  }

  /**
   * Reads bytes of a chunked body and its trailers, at most a window; stops right behind it.
   * @returns the position of the first byte not read; look at {@link spans}, {@link ended} and {@link error}
   */
  body(bytes: Buffer, from: number, to: number): number {
    length = Math.min(to - from, WINDOW)
    bytes.copy(window(), 0, from, from + length)
    text = undefined
    return from + execute(this, this.#pointer)
  }


  // What follows is called by llhttp only.

  onName(part: string, at: number): number {
    const { headers } = this
    if (this.#inValue || headers.length === 0) {
      if (this.#inValue) this.#trim()
      this.#inValue = false
      if (headers.length >= this.maxFields * 2) return TOO_MANY_FIELDS
      headers.push(part)
      if (!this.headDone) this.starts.push(this.raw.length + at)
    } else headers[headers.length - 1] = this.#joined(headers[headers.length - 1]! + part)
    return OK
  }

  onValue(part: string): number {
    const { headers } = this
    if (this.#inValue) headers[headers.length - 1] = this.#joined(headers[headers.length - 1]! + part)
    else headers.push(part)
    this.#inValue = true
    return OK
  }

  onHead(status: number): number {
    this.#trim()
    this.status = status
    this.headDone = true
    return PAUSED
  }

  onEnd(): number {
    this.#trim()
    this.ended = true
    return PAUSED
  }

  /** V8 keeps a string that grows by a byte at a time as that many pieces, thirty bytes each: now and then it is made one. */
  #joined(whole: string): string {
    return ++this.#pieces % 64 === 0 ? detach(whole) : whole
  }

  /** Optional white space behind a value is not part of it (RFC 9110 section 5.5); llhttp leaves it there. */
  #trim(): void {
    const last = this.headers.length - 1
    if (last < 0) return
    const value = this.headers[last]!
    let end = value.length
    while (end > 0 && (value.charCodeAt(end - 1) === 32 || value.charCodeAt(end - 1) === 9)) end--
    if (end < value.length) this.headers[last] = value.slice(0, end)
  }
}

/** Lets the parser read the window's first `length` bytes; returns how many it took. */
function execute(parser: Parser, pointer: number): number {
  current = parser
  if (spans.length > 0) spans.length = 0
  const code = wasm.llhttp_execute(pointer, base, length)
  if (code === OK) return length
  if (code !== PAUSED && code !== PAUSED_UPGRADE) parser.error = code
  return wasm.llhttp_get_error_pos(pointer) - base
}

const free: Record<number, Parser[]> = { [REQUEST]: [], [RESPONSE]: [] }

/** A parser of the type, ready for a message of at most so many header fields. */
export function leaseParser(type: number, maxFields: number): Parser {
  const parser = free[type]!.pop() ?? new Parser(type)
  parser.reset(maxFields)
  return parser
}

/** Gives a parser back; the caller must not use it any more. */
export function releaseParser(parser: Parser): void {
  parser.headers = []
  parser.target = parser.raw = parser.reasonPhrase = ''
  free[parser.type]!.push(parser)
}
