/** In a pod the controller loads neither @kubernetes/client-node (60 MiB, decision 0008) nor yargs. */
import t from 'tap'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

t.test('the controller\'s import graph', async (t) => {
  const script = `
    const { registerHooks } = await import('node:module')
    const urls = []
    registerHooks({ load(url, context, next) { urls.push(url); return next(url, context) } })
    await import('./src/injector/run.ts')
    await import('./src/injector/options.ts')
    console.log(JSON.stringify(urls))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd: root })
  const urls = JSON.parse(stdout) as string[]
  t.ok(urls.some((url) => url.includes('/node_modules/undici/')), 'the graph was seen')
  t.ok(urls.some((url) => url.endsWith('/src/kube/connection.ts')))
  t.same(urls.filter((url) => /node_modules\/(@kubernetes\/client-node|yargs|jose|fast-check)\//.test(url)), [])
})
