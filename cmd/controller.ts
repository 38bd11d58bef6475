/** The controller's entry point: argv to run(). */
import { completeOptions, HELP, OptionsError, type Completed } from '../src/injector/options.ts'
import { startController } from '../src/injector/run.ts'
import { createLog, type Log } from '../src/telemetry/log.ts'

function complete(): Completed {
  try {
    return completeOptions(process.argv.slice(2), process.env)
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error
    for (const problem of error.problems) console.error(`sidegate controller: ${problem}`)
    process.exit(2)
  }
}

/** Logs and ends the process: a replica that is not sure of itself must not answer. The API server asks another one. */
async function fail(log: Log, message: string, error: unknown): Promise<never> {
  log.error(message, { error: (error as Error).stack ?? String(error) })
  await log.flush()
  process.exit(1)
}

if (process.argv.includes('--help')) {
  console.log(HELP)
  process.exit(0)
}
const completed = complete()
if (completed.checkOnly) {
  console.log('The file is valid.')
  process.exit(0)
}
const log = createLog({ level: completed.options.log.level })
process.on('uncaughtException', (error) => { void fail(log, 'uncaught error', error) })
process.on('unhandledRejection', (error) => { void fail(log, 'unhandled rejection', error) })
const controller = await startController(completed, { log }).catch((error: unknown) => fail(log, 'the controller could not start', error))
controller.ready.catch((error: unknown) => fail(log, 'the webhook could not start', error))

let stopping = false
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (stopping) return
    stopping = true
    log.notice('shutting down', { signal })
    void controller.stop().then(() => log.flush()).then(() => process.exit(0))
  })
}
