import * as fc from 'fast-check'
import t from 'tap'
import { Lines } from '../../../src/http/engine/lines.ts'
import { REQUEST, leaseParser, loadLlhttp, releaseParser } from '../../../src/http/engine/llhttp.ts'
import { holds } from '../../helpers/property.ts'

loadLlhttp()

const name = fc.stringMatching(/^[A-Za-z!_-]{1,16}$/)
const value = fc.stringMatching(/^(?:[a-z,;:][a-z ,;:]{0,20}[a-z])?$/)
const space = fc.constantFrom('', ' ', ' ', ' ', '  ', '\t', ' \t')
const field = fc.record({ name, value, before: space, after: space, kept: fc.boolean(), own: fc.option(fc.tuple(name, value)) })
/** Where the bytes are cut when they are read. */
const cuts = fc.array(fc.nat(400), { maxLength: 4 })

t.test('lines taken from the text that was read are those that would have been built, however it came and whatever is left out', (t) => {
  holds(t, 'byte for byte', fc.tuple(fc.array(field, { maxLength: 8 }), cuts), ([fields, cuts]) => {
    const text = `GET / HTTP/1.1\r\n${fields.map(({ name, value, before, after }) => `${name}:${before}${value}${after}\r\n`).join('')}\r\n`
    const bytes = Buffer.from(text, 'latin1')
    const parser = leaseParser(REQUEST, 100)
    let from = 0
    for (const to of [...new Set([...cuts.filter((cut) => cut > 0 && cut < bytes.length), bytes.length])].sort((a, b) => a - b)) from = parser.head(bytes, from, to)
    // A Content-Length that is no number, and their like, are llhttp's to refuse.
    if (parser.error !== 0 || !parser.headDone) {
      releaseParser(parser)
      return true
    }
    const { headers } = parser
    const lines = new Lines(parser, 'X\r\n')
    let built = 'X\r\n'
    fields.forEach(({ kept, own }, at) => {
      if (kept) {
        lines.pass(at, headers[at * 2]!, headers[at * 2 + 1]!)
        built += `${headers[at * 2]}: ${headers[at * 2 + 1]}\r\n`
      }
      if (own === null) return
      lines.add(`${own[0]}: ${own[1]}\r\n`)
      built += `${own[0]}: ${own[1]}\r\n`
    })
    const same = [lines.text, lines.text].every((text) => text === built)
    releaseParser(parser)
    return same
  }, 3_000)
  t.end()
})

t.test('neighbours are one piece of the text, and a line that stands otherwise is built', (t) => {
  const raw = 'GET / HTTP/1.1\r\nA: 1\r\nB:  2\r\nC: 3\r\nD: 4 \r\nE:5\r\n\r\n'
  const starts = ['A', 'B', 'C', 'D', 'E'].map((letter) => raw.indexOf(`${letter}:`))
  const lines = new Lines({ raw, starts }, '')
  for (const [at, letter] of ['A', 'B', 'C', 'D', 'E'].entries()) lines.pass(at, letter, String(at + 1))
  t.equal(lines.text, 'A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n')
  const bare = 'GET / HTTP/1.1\r\nA:  1\nB: 2\r\n\r\n'
  const doubtful = new Lines({ raw: bare, starts: [bare.indexOf('A:'), bare.indexOf('B:')] }, '')
  doubtful.pass(0, 'A', '1')
  t.equal(doubtful.text, 'A: 1\r\n', 'a bare line feed, should a parser ever let one through')
  t.end()
})
