/** docs/controller.md: its example is a file that the controller takes, and says the defaults. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import * as v from 'valibot'
import { parse } from 'yaml'
import { controllerSchema } from '../../src/injector/options.ts'

t.test('the example of docs/controller.md has every field, each with its default', (t) => {
  const page = readFileSync(new URL('../../docs/controller.md', import.meta.url), 'utf8')
  const example = parse(/^## File.*?```yaml\n(.*?)```/ms.exec(page)![1]!)
  t.strictSame(v.parse(controllerSchema, example), v.parse(controllerSchema, { namespace: 'sidegate-system', sidecar: { image: 'sidegate:dev' } }))
  t.same(Object.keys(example), Object.keys(controllerSchema.entries))
  t.end()
})
