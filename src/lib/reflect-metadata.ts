/**
 * The three functions of the Reflect Metadata proposal that tsyringe (inside @peculiar/x509) asks for, and nothing else. Import for
 * its effect, before @peculiar/x509. The full polyfill is 60 KiB of code to store a few arrays per class.
 */
type Registry = WeakMap<object, Map<unknown, unknown>>
const registry: Registry = new WeakMap()

const own = (target: object): Map<unknown, unknown> => {
  let entries = registry.get(target)
  if (!entries) registry.set(target, (entries = new Map()))
  return entries
}

function getOwnMetadata(key: unknown, target: object): unknown {
  return registry.get(target)?.get(key)
}

function getMetadata(key: unknown, target: object): unknown {
  for (let at: object | null = target; at; at = Object.getPrototypeOf(at) as object | null) {
    if (registry.get(at)?.has(key)) return registry.get(at)!.get(key)
  }
  return undefined
}

function defineMetadata(key: unknown, value: unknown, target: object): void {
  own(target).set(key, value)
}

if (!('getMetadata' in Reflect)) Object.assign(Reflect, { getMetadata, getOwnMetadata, defineMetadata })
