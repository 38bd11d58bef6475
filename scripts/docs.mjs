// Writes the generated pages of docs/ from the tables in src/; tests hold the pages against the tables.
import { mkdirSync, writeFileSync } from 'node:fs'
import { configurationPage, reasonsPage } from '../src/config/docs.ts'
import { configJsonSchema } from '../src/config/json-schema.ts'
import { metricsPage } from '../src/telemetry/metric-table.ts'

const docs = new URL('../docs/', import.meta.url)
mkdirSync(docs, { recursive: true })
writeFileSync(new URL('configuration.md', docs), configurationPage())
writeFileSync(new URL('config.schema.json', docs), `${JSON.stringify(configJsonSchema(), null, 2)}\n`)
writeFileSync(new URL('metrics.md', docs), metricsPage())
writeFileSync(new URL('reasons.md', docs), reasonsPage())
