import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { identityOf, story, wrong } from '../../src/demo/story.ts'

const CLI = fileURLToPath(new URL('../../cmd/sidegate.ts', import.meta.url))

t.test('demo --once tells the whole story and exits 0', async (t) => {
  const { stdout } = await promisify(execFile)(process.execPath, [CLI, 'demo', '--once'])
  const steps = story(async () => {})
  t.match(stdout, `${steps.length} of ${steps.length} steps came out right.`)
  for (const { title } of steps) t.match(stdout, title)
  t.notMatch(stdout, 'WRONG')
  // eslint-disable-next-line no-control-regex
  t.notMatch(stdout, /\u001B\[/, 'plain when piped')
})

t.test('a step that comes out otherwise is called wrong', async (t) => {
  const [noToken, good] = story(async () => {})
  const seen = (headers: [string, string][]) => ({ url: '/orders/7', headers })
  const base = { challenge: undefined, body: '' }
  t.equal(wrong(noToken!, { ...base, status: 401, seen: undefined }), undefined)
  t.equal(wrong(noToken!, { ...base, status: 200, seen: undefined }), 'expected 401')
  t.equal(wrong(noToken!, { ...base, status: 401, seen: seen([]) }), 'the app saw the request')
  const right: [string, string][] = [['X-User-Id', 'ada'], ['X-User-Roles', 'staff,orders']]
  t.equal(wrong(good!, { ...base, status: 200, seen: seen(right) }), undefined)
  t.match(wrong(good!, { ...base, status: 200, seen: seen([['X-User-Id', 'root'], ...right]) }), /expected the app to receive/)
  t.match(wrong(good!, { ...base, status: 200, seen: seen([...right, ['x_user_id', 'root']]) }), /expected the app to receive/)
  t.equal(wrong(good!, { ...base, status: 200, seen: seen([...right, ['Authorization', 'Bearer x']]) }), 'the app received the token')
  t.equal(wrong(good!, { ...base, status: 200, seen: undefined }), 'the app did not see the request')
  t.same(identityOf({ ...base, status: 200, seen: seen([['X.User.Id', 'a'], ['Accept', '*/*']]) }), { 'X.User.Id': 'a' })
})
