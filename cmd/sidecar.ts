#!/usr/bin/env node
import { startTransport } from '../src/http/node/start-transport.ts'
import { run } from '../src/sidecar/run.ts'

process.exit(await run(process.argv.slice(2), startTransport))
