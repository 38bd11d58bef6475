// The parts of values.schema.json that are shared, or come from the sidecar's configuration schema.
import { issuersJsonSchema, profileJsonSchema } from '../src/config/json-schema.ts'

const peer = {
  type: 'object',
  additionalProperties: false,
  minProperties: 1,
  properties: {
    podSelector: { type: 'object' },
    namespaceSelector: { type: 'object' },
    ipBlock: { type: 'object', required: ['cidr'], properties: { cidr: { type: 'string' }, except: { type: 'array', items: { type: 'string' } } }, additionalProperties: false },
  },
}

/** JSON Schema definitions by name. */
export function definitions() {
  return {
    duration: { type: 'string', pattern: '^(0|[0-9]{1,9}(ms|s|m|h|d))$' },
    positiveDuration: { type: 'string', pattern: '^0{0,8}[1-9][0-9]{0,8}(ms|s|m|h|d)$' },
    quantity: { type: 'string', pattern: '^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$' },
    peers: { type: 'array', items: peer },
    issuers: issuersJsonSchema(),
    profile: profile(),
    // Helm takes null for "remove the default".
    profiles: { type: 'object', additionalProperties: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/profile' }] }, propertyNames: { pattern: '^[A-Za-z0-9]([-A-Za-z0-9_.]{0,60}[A-Za-z0-9])?$' } },
  }
}

/** Health is at a fixed port, which probes and NetworkPolicies name: a profile cannot move it. */
function profile() {
  const { properties: { health: _, ...properties }, ...rest } = profileJsonSchema()
  return { ...rest, properties }
}
