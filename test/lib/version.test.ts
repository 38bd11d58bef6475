import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { VERSION } from '../../src/lib/version.ts'

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

t.test('the version is one: of the program, the package and the chart\'s app', async (t) => {
  t.equal(VERSION, (JSON.parse(read('package.json')) as { version: string }).version)
  t.equal(VERSION, (parse(read('charts/sidegate/Chart.yaml')) as { appVersion: string }).appVersion)
})
