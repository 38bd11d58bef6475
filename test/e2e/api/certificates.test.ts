/**
 * Certificates against a real API server: replicas that race for the authority, rotation with lives of seconds under a stream of admissions,
 * and an authority's Secret that somebody deletes.
 */
import t from 'tap'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import type { KubeObject, Secret } from '../../../src/kube/types.ts'
import { createAuthority, issueLeaf } from '../../../src/pki/authority.ts'
import {
  eventually, freePort, namespace, noApiServer, pod, sourceConfig, startApiServer, startController, webhookConfiguration, type ApiServer,
} from '../../helpers/api-server.ts'

type Configuration = KubeObject & { readonly webhooks: readonly { readonly clientConfig: { readonly caBundle?: string } }[] }

async function bundleOf(api: ApiServer): Promise<string> {
  const configuration = await api.kube.get<Configuration>({ resource: 'mutatingwebhookconfigurations', name: 'sidegate' })
  return Buffer.from(configuration!.webhooks[0]!.clientConfig.caBundle ?? '', 'base64').toString()
}

const countCerts = (bundle: string): number => bundle.split('BEGIN CERTIFICATE').length - 1

/** A handshake as the API server makes it. @returns the leaf's serial number, or why it is not trusted */
async function handshake(host: string, port: number, ca: string): Promise<string> {
  const socket = connect({ host, port, ca, servername: '' })
  try {
    await once(socket, 'secureConnect')
    return new X509Certificate(socket.getPeerX509Certificate()!.raw).serialNumber
  } catch (error) {
    return `not trusted: ${(error as NodeJS.ErrnoException).code ?? String(error)}`
  } finally {
    socket.destroy()
  }
}

/** Creates pods (dry run: etcd is not the subject) until told to stop. */
function stream(api: ApiServer, space: string) {
  const failures: string[] = []
  let admitted = 0
  const stopped = new AbortController()
  async function worker(index: number): Promise<void> {
    while (!stopped.signal.aborted) {
      const failure = await api.kube.create('pods', pod(space, `stream-${index}`), { dryRun: true }).then(() => undefined, (error: Error) => error.message)
      if (failure === undefined) admitted += 1
      else failures.push(failure)
      await sleep(50)
    }
  }
  const workers = [0, 1].map((index) => worker(index))
  return {
    async stop() {
      stopped.abort()
      await Promise.all(workers)
      return { admitted, failures }
    },
  }
}

t.test('certificates', { skip: noApiServer }, async (t) => {
  const api = await startApiServer('api-certs')
  t.teardown(() => api.down())
  const [a, b] = [await freePort(api.host), await freePort(api.host)]
  await api.apply(namespace('sidegate-system'), namespace('shop'), sourceConfig(), webhookConfiguration(api.host, a, b))
  const certificates = { caValidity: '36s', leafValidity: '7s', overlap: '4s' }
  const secret = () => api.kube.get<Secret>({ resource: 'secrets', namespace: 'sidegate-system', name: 'sidegate-ca' })
  const signer = async () => (await secret())!.data!['tls.crt']!

  const replicas = await Promise.all([startController(api, a, { certificates }), startController(api, b, { certificates })])
  t.teardown(() => Promise.all(replicas.map((replica) => replica.kill())))

  await t.test('two replicas that start at once agree on one authority', async (t) => {
    const bundle = await bundleOf(api)
    t.equal(countCerts(bundle), 1)
    t.equal(bundle.trim(), Buffer.from((await secret())!.data!['ca.crt']!, 'base64').toString().trim())
    const serials = await Promise.all([handshake(api.host, a, bundle), handshake(api.host, b, bundle)])
    t.notMatch(serials.join(' '), 'not trusted')
    t.not(serials[0], serials[1], 'each has a leaf of its own')
  })

  await t.test('a minute with an authority that lives 36 s and leaves that live 7 s: no admission fails, no handshake fails', async (t) => {
    const load = stream(api, 'shop')
    const authorities = new Set<string>()
    const leaves = new Set<string>()
    const distrust: string[] = []
    let most = 0
    // The API server learns of a new bundle a moment later: handshakes are made with the bundle of half a second ago.
    let bundle = await bundleOf(api)
    const end = Date.now() + 60_000
    while (Date.now() < end) {
      await sleep(500)
      for (const port of [a, b]) {
        const result = await handshake(api.host, port, bundle)
        if (result.startsWith('not')) distrust.push(`${new Date().toISOString()} ${port} ${result}`)
        else leaves.add(result)
      }
      bundle = await bundleOf(api)
      most = Math.max(most, countCerts(bundle))
      authorities.add(await signer())
    }
    const { admitted, failures } = await load.stop()
    t.comment(`${admitted} admissions by two webhooks, ${authorities.size} authorities, ${leaves.size} leaves seen`)
    t.strictSame(failures, [])
    t.strictSame(distrust, [])
    t.ok(admitted > 50, `${admitted} admissions`)
    t.ok(authorities.size >= 2, `${authorities.size} authorities`)
    t.ok(leaves.size >= 10, `${leaves.size} leaves`)
    t.ok(most >= 2, 'old and new authority were trusted side by side')
  })

  await t.test('the authority\'s Secret deleted: written again with the same authority, nothing fails', async (t) => {
    const load = stream(api, 'shop')
    const before = await signer()
    await api.kubectl(['-n', 'sidegate-system', 'delete', 'secret', 'sidegate-ca'])
    await eventually(async () => { if (!await secret()) throw new Error('not there yet') })
    t.equal(await signer(), before)
    const { failures } = await load.stop()
    t.strictSame(failures, [])
  })

  await t.test('somebody empties caBundle: put back', async (t) => {
    await api.kube.patch({ resource: 'mutatingwebhookconfigurations', name: 'sidegate' }, 'json', [{ op: 'remove', path: '/webhooks/0/clientConfig/caBundle' }])
    await eventually(async () => { if (countCerts(await bundleOf(api)) === 0) throw new Error('still empty') })
    t.notMatch(await handshake(api.host, a, await bundleOf(api)), 'not trusted')
  })
})

t.test('a certificate of your own', { skip: noApiServer }, async (t) => {
  const api = await startApiServer('api-provided')
  t.teardown(() => api.down())
  const directory = mkdtempSync(join(tmpdir(), 'sidegate-tls-'))
  const mint = async () => {
    const validity = { now: Date.now(), validityMs: 3_600_000 }
    const ca = await createAuthority(`test CA ${Math.random()}`, validity)
    const leaf = await issueLeaf(ca, [api.host], validity)
    writeFileSync(join(directory, 'ca.crt'), ca.cert)
    writeFileSync(join(directory, 'tls.crt'), leaf.cert)
    writeFileSync(join(directory, 'tls.key'), leaf.key)
    return ca.cert
  }
  const first = await mint()
  const port = await freePort(api.host)
  await api.apply(namespace('sidegate-system'), namespace('shop'), sourceConfig(), webhookConfiguration(api.host, port))
  const controller = await startController(api, port, { certificates: { mode: 'provided', directory } })
  t.teardown(() => controller.kill())
  const create = (name: string) => api.kube.create('pods', pod('shop', name), { dryRun: true })

  t.equal((await bundleOf(api)).trim(), first.trim())
  await create('one')
  t.equal(await api.kube.get({ resource: 'secrets', namespace: 'sidegate-system', name: 'sidegate-ca' }), undefined, 'no authority of ours is made')

  const second = await mint()
  await eventually(async () => { if ((await bundleOf(api)).trim() !== second.trim()) throw new Error('the old bundle is still there') }, 20_000)
  await eventually(() => create('two'), 20_000)
  t.notMatch(await handshake(api.host, port, second), 'not trusted')
})
