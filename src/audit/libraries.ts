/** Libraries by which services validate (or merely read) JWTs, and the manifests that name them. */

/** A kind of dependency manifest. */
export interface Ecosystem {
  readonly language: string
  /** Names of its manifests. */
  readonly manifests: RegExp
  /** Finds entries in a manifest: groups `name` and, where it is said, `version`. Global. */
  readonly entries: RegExp
  /** Name, as in the manifest after {@link Ecosystem.normalise}, to a remark, if any. */
  readonly libraries: Readonly<Record<string, string>>
  readonly normalise?: (name: string) => string
  /** Whether a name below a library's (`github.com/golang-jwt/jwt/v5`) is the library, too. */
  readonly nested?: boolean
}

const DECODES_ONLY = 'decodes without verifying: what it reads, anyone can have written'
const ARCHIVED = (successor: string) => `unmaintained; its successor is ${successor}`

/** A list of names without remarks. */
const plain = (...names: string[]) => Object.fromEntries(names.map((name) => [name, '']))

export const ECOSYSTEMS: readonly Ecosystem[] = [
  {
    language: 'Node', manifests: /^package\.json$/, entries: /"(?<name>[^"\s]+)"\s*:\s*"(?<version>[^"]*)"/g,
    libraries: {
      ...plain('jsonwebtoken', 'jose', 'express-jwt', 'express-oauth2-jwt-bearer', 'passport-jwt', 'koa-jwt', 'fast-jwt', '@fastify/jwt', '@nestjs/jwt', '@hapi/jwt',
        'hapi-auth-jwt2', 'jwks-rsa', 'aws-jwt-verify', 'njwt', 'jws', '@okta/jwt-verifier', 'keycloak-connect'),
      'jwt-decode': DECODES_ONLY,
      'fastify-jwt': ARCHIVED('@fastify/jwt'),
    },
  },
  {
    language: 'Go', manifests: /^go\.mod$/, entries: /^\s*(?:require\s+)?(?<name>[\w.~/-]+)\s+(?<version>v[\w.+-]+)/gm, nested: true,
    libraries: {
      ...plain('github.com/golang-jwt/jwt', 'github.com/lestrrat-go/jwx', 'github.com/go-jose/go-jose', 'github.com/coreos/go-oidc', 'github.com/auth0/go-jwt-middleware',
        'github.com/MicahParks/keyfunc', 'github.com/appleboy/gin-jwt', 'github.com/labstack/echo-jwt', 'github.com/gofiber/contrib/jwt', 'github.com/go-chi/jwtauth', 'github.com/cristalhq/jwt'),
      'github.com/dgrijalva/jwt-go': ARCHIVED('github.com/golang-jwt/jwt'),
      'gopkg.in/square/go-jose.v2': ARCHIVED('github.com/go-jose/go-jose'),
    },
  },
  {
    language: 'Python', manifests: /^(?:requirements[\w.-]*\.(?:txt|in)|pyproject\.toml|Pipfile|setup\.(?:py|cfg))$/,
    entries: /(?:^\s*|["'])(?<name>[A-Za-z][A-Za-z0-9._-]*)["']?(?:\[[\w, -]*\])?\s*(?:[=~<>!]=?=?\s*["']?(?<version>\d[\w.*]*))?/gm,
    normalise: (name) => name.toLowerCase().replaceAll(/[-_.]+/g, '-'),
    libraries: plain('pyjwt', 'python-jose', 'authlib', 'jwcrypto', 'joserfc', 'flask-jwt-extended', 'djangorestframework-simplejwt', 'fastapi-jwt-auth', 'python-keycloak', 'jwskate'),
  },
  {
    language: 'Java', manifests: /^pom\.xml$/,
    entries: /<groupId>\s*(?<group>[^<\s]+)\s*<\/groupId>\s*<artifactId>\s*(?<name>[^<\s]+)\s*<\/artifactId>(?:\s*<version>\s*(?<version>[^<\s]+)\s*<\/version>)?/g,
    libraries: javaLibraries(),
  },
  {
    language: 'Java', manifests: /^(?:build\.gradle(?:\.kts)?|[\w.-]*\.versions\.toml)$/, entries: /["'][\w.-]+:(?<name>[\w.-]+)(?::(?<version>[\w.+-]+))?["']/g,
    libraries: javaLibraries(),
  },
  {
    language: '.NET', manifests: /(?:\.(?:cs|fs|vb)proj|^Directory\.Packages\.props)$/, entries: /<Package(?:Reference|Version)\s+Include="(?<name>[^"]+)"(?:\s+Version="(?<version>[^"]+)")?/gi,
    normalise: (name) => name.toLowerCase(),
    libraries: plain('microsoft.aspnetcore.authentication.jwtbearer', 'system.identitymodel.tokens.jwt', 'microsoft.identitymodel.jsonwebtokens', 'microsoft.identity.web', 'jose-jwt', 'jwt', 'okta.aspnetcore'),
  },
  {
    language: 'Ruby', manifests: /^(?:Gemfile|[\w-]+\.gemspec)$/, entries: /^\s*(?:gem|\w+\.add_(?:runtime_)?dependency)[\s(]+["'](?<name>[^"']+)["'](?:\s*,\s*["'](?<version>[^"']+)["'])?/gm,
    libraries: plain('jwt', 'json-jwt', 'devise-jwt', 'rodauth', 'jose', 'knock'),
  },
  {
    language: 'PHP', manifests: /^composer\.json$/, entries: /"(?<name>[^"\s]+)"\s*:\s*"(?<version>[^"]*)"/g,
    libraries: plain('firebase/php-jwt', 'lcobucci/jwt', 'tymon/jwt-auth', 'php-open-source-saver/jwt-auth', 'web-token/jwt-framework', 'web-token/jwt-library', 'lexik/jwt-authentication-bundle', 'auth0/auth0-php'),
  },
  {
    language: 'Rust', manifests: /^Cargo\.toml$/, entries: /^\s*(?:\[[\w.]*dependencies\.)?(?<name>[\w-]+)\s*(?:\]|=\s*(?:\{[^}\n]*version\s*=\s*)?"(?<version>[^"]+)")/gm,
    libraries: plain('jsonwebtoken', 'jwt-simple', 'josekit', 'jwt', 'axum-jwks', 'jwt-authorizer', 'biscuit'),
  },
  {
    language: 'Elixir', manifests: /^mix\.exs$/, entries: /\{:(?<name>\w+)\s*,\s*(?:"(?<version>[^"]+)")?/g,
    libraries: plain('joken', 'guardian', 'jose', 'joken_jwks'),
  },
]

function javaLibraries(): Readonly<Record<string, string>> {
  return plain('java-jwt', 'jwks-rsa', 'jjwt', 'jjwt-api', 'jjwt-impl', 'nimbus-jose-jwt', 'jose4j', 'spring-boot-starter-oauth2-resource-server', 'spring-boot-starter-security-oauth2-resource-server',
    'spring-security-oauth2-resource-server', 'spring-security-oauth2-jose', 'quarkus-smallrye-jwt', 'quarkus-oidc', 'smallrye-jwt', 'vertx-auth-jwt', 'micronaut-security-jwt', 'okta-spring-boot-starter',
    'keycloak-spring-boot-starter', 'pac4j-jwt')
}
