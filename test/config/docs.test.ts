import { readFileSync } from 'node:fs'
import t from 'tap'
import { configurationPage, EXAMPLE, reasonsPage } from '../../src/config/docs.ts'
import { configJsonSchema, issuersJsonSchema, profileJsonSchema, type JsonSchema } from '../../src/config/json-schema.ts'
import { configSchema } from '../../src/config/schema.ts'
import { parseConfig } from '../../src/config/load.ts'
import { REASON_NAMES } from '../../src/telemetry/reason.ts'

const page = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

t.test('the reference pages are what the code says', (t) => {
  t.equal(page('configuration.md'), configurationPage(), 'regenerate: node scripts/docs.mjs')
  t.equal(page('reasons.md'), reasonsPage(), 'regenerate: node scripts/docs.mjs')
  t.equal(page('config.schema.json'), `${JSON.stringify(configJsonSchema(), null, 2)}\n`, 'regenerate: node scripts/docs.mjs')
  t.end()
})

t.test('the example is a configuration without problems or warnings', async (t) => {
  const { config, problems, warnings } = await parseConfig(EXAMPLE)
  t.strictSame([problems, warnings], [[], []])
  t.equal(config?.rules?.length, 7)
})

t.test('every field is documented, every reason has its row', (t) => {
  const rows = configurationPage().split('\n').filter((line) => line.startsWith('| `'))
  for (const row of rows) t.match(row, /^\| `[^`]+` \| .+ \| .* \| .+ \|$/, row.slice(0, 60))
  for (const name of Object.keys(configSchema.entries)) t.ok(rows.some((row) => row.startsWith(`| \`${name}`)), name)
  for (const name of REASON_NAMES) t.ok(reasonsPage().includes(`| \`${name}\` |`), name)
  t.end()
})

t.test('the JSON schema names every field, refuses unknown ones and says what is required', (t) => {
  const schema = configJsonSchema() as { properties: Record<string, JsonSchema>, required: readonly string[], additionalProperties: boolean }
  t.strictSame(Object.keys(schema.properties), Object.keys(configSchema.entries))
  t.strictSame(schema.required, ['listeners', 'issuers'])
  t.equal(schema.additionalProperties, false)
  t.match(schema.properties['issuers'], { type: 'array', minItems: 1, items: { required: ['name', 'issuer', 'audiences', 'keys'], additionalProperties: false } })
  t.match(schema.properties['limits'], { properties: { headerBytes: { default: '32KiB' }, connections: { type: 'integer', minimum: 0, default: 10_000 } } })
  t.end()
})

t.test('the chart\'s parts: issuers as in the file, profiles without what belongs to a pod', (t) => {
  t.match(issuersJsonSchema(), { type: 'array', items: { type: 'object', required: ['name', 'issuer', 'audiences', 'keys'] } })
  const { properties, additionalProperties } = profileJsonSchema() as { properties: Record<string, JsonSchema>, additionalProperties: boolean }
  t.equal(additionalProperties, false)
  t.notOk('listeners' in properties || 'probes' in properties)
  t.match(properties['issuers'], { items: { type: 'string' } })
  t.match(properties['rules'], { type: 'array' })
  t.end()
})
