// Writes the generated pages of docs/ from the tables in src/; tests hold the pages against the tables.
import { mkdirSync, writeFileSync } from 'node:fs'
import { metricsPage } from '../src/telemetry/metric-table.ts'

const docs = new URL('../docs/', import.meta.url)
mkdirSync(docs, { recursive: true })
writeFileSync(new URL('metrics.md', docs), metricsPage())
