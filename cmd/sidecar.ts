#!/usr/bin/env node
import { startEngine } from '../src/http/engine/start.ts'
import { run } from '../src/sidecar/run.ts'

process.exit(await run(process.argv.slice(2), startEngine))
