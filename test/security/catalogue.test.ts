/** Every row of the attack catalogue (../shared/attacks.md) is a test with its id in the name, or stands here with the reason why it does not apply. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import t from 'tap'

const CATALOGUE = new URL('../../../shared/attacks.md', import.meta.url)

const DOES_NOT_APPLY: Readonly<Record<string, string>> = {
  A2: 'HTTP/2 is not served: the preface is refused (S13) and `Upgrade: h2c` is dropped (S7)',
  A3: 'HTTP/2 is not served',
  A4: 'HTTP/2 is not served',
  A5: 'HTTP/2 is not served',
  A9: 'the sidecar\'s listeners speak no TLS; the controller\'s webhook does, and has its own tests',
}

t.test('every row has its test', { skip: existsSync(CATALOGUE) ? false : '../shared/attacks.md is not on this machine' }, async (t) => {
  const ids = Array.from(readFileSync(CATALOGUE, 'utf8').matchAll(/^\| ([A-Z]\d+) \|/gm), ([, id]) => id!)
  t.ok(ids.length > 80, `${ids.length} rows`)
  const files = globSync('test/**/*.ts', { cwd: new URL('../..', import.meta.url).pathname })
    .filter((file) => !file.endsWith('catalogue.test.ts'))
    .map((file) => [file, readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')] as const)
  for (const id of ids) {
    // In a title or a case's name, or in the comment that heads a family; `%A9` is no mention of A9.
    const mention = new RegExp(`(?:^/?\\s?\\*+.*|['\`"([].*)(?<![%0-9A-Za-z/])${id}(?![0-9A-Za-z])`, 'm')
    const where = files.filter(([, text]) => mention.test(text)).map(([file]) => file)
    if (DOES_NOT_APPLY[id] !== undefined) t.pass(`${id} does not apply: ${DOES_NOT_APPLY[id]}`)
    else t.ok(where.length > 0, `${id}: ${where.join(', ') || 'no test names it'}`)
  }
})
