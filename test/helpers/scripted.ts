/** A transport between clients and an app that answers as the test says. */
import type { Test } from 'tap'
import type { StartTransport, TransportLimits } from '../../src/http/contract.ts'
import { startApp, type Answer, type App } from './app.ts'
import { startProxy, type Proxy } from './transports.ts'

export interface Scripted {
  readonly app: App
  readonly proxy: Proxy
  /** How the app answers from now on; what app and stand-in have seen so far is forgotten. */
  readonly script: (answer: Answer) => void
}

/** Starts both; they stop with the test. */
export async function startScripted(t: Test, start: StartTransport, limits: Partial<TransportLimits> = {}): Promise<Scripted> {
  const app = await startApp()
  const proxy = await startProxy(start, app.address, { limits })
  t.teardown(async () => { await proxy.close(); await app.close() })
  return {
    app, proxy,
    script(answer) {
      app.clear()
      app.answer(answer)
      for (const list of Object.values(proxy.seen)) list.length = 0
    },
  }
}
