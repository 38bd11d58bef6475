import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { ECOSYSTEMS } from '../../src/audit/libraries.ts'
import { report } from '../../src/audit/report.ts'
import { scan } from '../../src/audit/scan.ts'

/** A source tree of these files, gone with the test. */
function tree(t: Test, files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'sidegate-audit-'))
  t.teardown(() => rmSync(root, { recursive: true }))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

/** Manifest, and what must be found in it: name and version. */
const MANIFESTS: Readonly<Record<string, readonly [text: string, ...found: (readonly [string, string?])[]]>> = {
  'package.json': ['{\n  "dependencies": { "express": "4", "jsonwebtoken": "^8.5.1" },\n  "devDependencies": { "@fastify/jwt": "9.0.0", "jwt-decode": "4" } }', ['jsonwebtoken', '^8.5.1'], ['@fastify/jwt', '9.0.0'], ['jwt-decode', '4']],
  'go.mod': ['module x\nrequire (\n\tgithub.com/golang-jwt/jwt/v5 v5.2.1\n\tgithub.com/golang-jwt/jwtx v1.0.0\n)\nrequire github.com/dgrijalva/jwt-go v3.2.0+incompatible\n', ['github.com/golang-jwt/jwt/v5', 'v5.2.1'], ['github.com/dgrijalva/jwt-go', 'v3.2.0+incompatible']],
  'requirements.txt': ['flask==3\nPyJWT[crypto]==2.8.0\n# python-jose==1\npython_jose>=3.3\npyjwt-extras==1\n', ['PyJWT', '2.8.0'], ['python_jose', '3.3']],
  'requirements-dev.txt': ['authlib\n', ['authlib']],
  'pyproject.toml': ['[project]\ndependencies = ["fastapi", "joserfc>=1.0"]\n[tool.poetry.dependencies]\nflask-jwt-extended = "^4"\n', ['joserfc', '1.0'], ['flask-jwt-extended']],
  'setup.py': ['setup(install_requires=["Authlib>=1.2"])', ['Authlib', '1.2']],
  'pom.xml': ['<dependencies>\n<dependency>\n <groupId>com.auth0</groupId>\n <artifactId>java-jwt</artifactId>\n <version>4.4.0</version>\n</dependency>\n<dependency><groupId>org.springframework.boot</groupId><artifactId>spring-boot-starter-oauth2-resource-server</artifactId></dependency></dependencies>', ['java-jwt', '4.4.0'], ['spring-boot-starter-oauth2-resource-server']],
  'build.gradle.kts': ['implementation("io.jsonwebtoken:jjwt-api:0.12.5")\nimplementation("org.x:jjwt-apix:1")', ['jjwt-api', '0.12.5']],
  'gradle/libs.versions.toml': ['nimbus = { module = "com.nimbusds:nimbus-jose-jwt", version = "9" }', ['nimbus-jose-jwt']],
  'Api.csproj': ['<PackageReference Include="Microsoft.AspNetCore.Authentication.JwtBearer" Version="8.0.4" />\n<PackageReference Include="Serilog" Version="3" />', ['Microsoft.AspNetCore.Authentication.JwtBearer', '8.0.4']],
  'Gemfile': ['gem "rails", "7.1"\ngem \'jwt\', "~> 2.8"\n', ['jwt', '~> 2.8']],
  'composer.json': ['{"require":{"php":"^8","firebase/php-jwt":"^6.10"}}', ['firebase/php-jwt', '^6.10']],
  'Cargo.toml': ['[dependencies]\nserde = "1"\njsonwebtoken = "9.3"\njwt-simple = { version = "0.12", default-features = false }\n', ['jsonwebtoken', '9.3'], ['jwt-simple', '0.12']],
  'mix.exs': ['{:phoenix, "~> 1.7"}, {:joken, "~> 2.6"}, {:guardian, ">= 1.0"}', ['joken', '~> 2.6'], ['guardian', '>= 1.0']],
}

for (const [manifest, [text, ...found]] of Object.entries(MANIFESTS)) {
  t.test(`libraries in ${manifest}`, async (t) => {
    const { services } = await scan(tree(t, { [manifest]: text }))
    t.strictSame(services.flatMap(({ libraries }) => libraries.map(({ name, version }) => [name, version])), found.map(([name, version]) => [name, version]))
    for (const { libraries } of services) for (const { name, file, line } of libraries) t.ok(text.split('\n')[line - 1]?.includes(name), `${file}:${line}`)
  })
}

t.test('every language of the table is among these', async (t) => {
  const { services } = await scan(tree(t, Object.fromEntries(Object.entries(MANIFESTS).map(([manifest, [text]]) => [`${manifest}-x/${manifest}`, text]))))
  t.strictSame(new Set(services.flatMap(({ libraries }) => libraries.map(({ language }) => language))), new Set(ECOSYSTEMS.map(({ language }) => language)))
})

const RISKY: Readonly<Record<string, string>> = {
  'a.js': 'const claims = jwt.decode(token)', 'b.ts': 'const { sub } = jwtDecode(header)', 'c.ts': 'jwt.verify(t, key, { ignoreExpiration: true })', 'd.js': 'jwt.verify(t, "", { algorithms: ["none"] })',
  'e.js': 'JSON.parse(atob(token.split(".")[1]))', 'f.go': 'parser.ParseUnverified(raw, claims)', 'g.py': 'jwt.decode(t, options={"verify_signature": False})', 'h.py': 'jose.jwt.get_unverified_claims(t)',
  'i.rb': 'JWT.decode token, nil, false', 'j.rs': 'validation.insecure_disable_signature_validation();', 'k.java': 'builder.setSkipAllValidators().build()', 'l.cs': 'ValidateAudience = false,', 'm.kt': 'Jwts.parser().parseClaimsJwt(t)',
}
const HARMLESS: Readonly<Record<string, string>> = {
  'a.js': 'jwt.verify(token, key, { algorithms: ["RS256"] })', 'b.py': 'jwt.decode(token, key, algorithms=["RS256"], audience="x")', 'c.go': 'jwt.ParseWithClaims(raw, claims, keyfunc)', 'd.cs': 'ValidateAudience = true,',
  'e.js': 'const parts = path.split(".")[1]', 'f.rb': 'JWT.decode token, key, true, { algorithm: "RS256" }', 'g.ts': 'const display = style === "none"', 'h.txt': 'jwt.decode(token)',
}

t.test('calls that do not verify are found, those that do are left alone', async (t) => {
  const risky = await scan(tree(t, RISKY))
  t.strictSame(risky.services[0]?.calls.map(({ file }) => file), Object.keys(RISKY))
  const harmless = await scan(tree(t, HARMLESS))
  t.strictSame(harmless.services, [])
})

t.test('what is found belongs to the nearest manifest; what others wrote is left out', async (t) => {
  const root = tree(t, {
    'orders/package.json': '{"dependencies":{"jose":"6"}}', 'orders/src/deep/a.ts': '\n\njwtDecode(x)', 'billing/go.mod': 'module b\n', 'billing/main.go': 'ParseUnverified(x, y)', 'clean/package.json': '{}',
    'orders/node_modules/jsonwebtoken/index.js': 'jwt.decode(token)', 'orders/.hidden/a.js': 'jwtDecode(x)', 'orders/src/min.js': `${'x'.repeat(2000)}jwtDecode(x)`, 'orders/src/big.js': `jwtDecode(x)\n${'x'.repeat(1024 ** 2)}`,
  })
  symlinkSync(root, join(root, 'orders/loop'))
  const { services, filesRead } = await scan(root)
  t.strictSame(services, [
    { folder: 'billing', libraries: [], calls: [{ means: 'reads claims of a token that nobody verified', text: 'ParseUnverified(x, y)', file: 'billing/main.go', line: 1 }] },
    {
      folder: 'orders', libraries: [{ name: 'jose', version: '6', language: 'Node', remark: '', file: 'orders/package.json', line: 1 }],
      calls: [{ means: 'reads claims of a token that nobody verified', text: 'jwtDecode(x)', file: 'orders/src/deep/a.ts', line: 3 }],
    },
  ])
  t.equal(filesRead, 6)
})

t.test('the report', async (t) => {
  const root = tree(t, { 'orders/package.json': '{\n"jsonwebtoken":"8.5.1"}', 'orders/a.js': 'jwt.decode(t) // \x1b[2J', 'billing/go.mod': 'require github.com/dgrijalva/jwt-go v3.2.0' })
  t.strictSame(report(await scan(root)), [
    'billing',
    '  github.com/dgrijalva/jwt-go v3.2.0  Go, billing/go.mod:1  ! unmaintained; its successor is github.com/golang-jwt/jwt',
    '',
    'orders',
    '  jsonwebtoken 8.5.1  Node, orders/package.json:2',
    '  ! orders/a.js:1 reads claims of a token that nobody verified',
    '      jwt.decode(t) // ?[2J',
    '',
    '3 files looked at. 2 services with JWT code: 2 libraries in 2 versions and 2 languages, 1 line to look at.',
    'Each keeps its own algorithms, issuers, audiences, keys and clock skew, and each can get them wrong.',
    'With Sidegate: annotate the pod template with sidegate.dev/inject: "true", read the identity headers, remove the library.',
  ])
  t.strictSame(report(await scan(tree(t, { 'a.js': 'x' }))), ['1 file looked at: nobody here validates JWTs by themselves, as far as manifests and known calls tell.'])
})

t.test('a root that is none, and folders that cannot be read', async (t) => {
  await t.rejects(scan('/nowhere/at/all'), { message: '/nowhere/at/all is not a folder that can be read; name the root of a source tree' })
  const root = tree(t, { 'a/package.json': '{"jose":"6"}', 'b/x.js': '' })
  if (process.getuid?.() === 0) return // root reads everything
  chmodSync(join(root, 'b'), 0)
  const { unreadable } = await scan(root)
  chmodSync(join(root, 'b'), 0o755)
  t.match(unreadable, [/b: EACCES/])
})
