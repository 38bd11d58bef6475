// The parts of values.schema.json that are shared or come from elsewhere.

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
    quantity: { type: 'string', pattern: '^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$' },
    peers: { type: 'array', items: peer },
    issuers: { type: 'array', items: { type: 'object', required: ['name', 'issuer', 'audiences', 'keys'] } },
    profiles: { type: 'object', additionalProperties: { type: ['object', 'null'] }, propertyNames: { pattern: '^[A-Za-z0-9]([-A-Za-z0-9_.]{0,60}[A-Za-z0-9])?$' } },
  }
}
