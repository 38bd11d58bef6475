/** Kubernetes resource quantities (apimachinery resource.Quantity): enough to check and compare what an annotation says. */

const UNITS: Readonly<Record<string, number>> = {
  '': 1, n: 1e-9, u: 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18,
  Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60,
}
const QUANTITY = /^(\d{1,18}(?:\.\d{1,9})?)(?:(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?|[eE]([+-]?\d{1,2}))$/

/**
 * @param text such as `100m`, `0.5`, `64Mi`, `1e3`
 * @returns its value (cores, bytes), or undefined when it is not a quantity or is negative
 */
export function parseQuantity(text: string): number | undefined {
  const match = QUANTITY.exec(text)
  if (!match) return undefined
  return Number(match[1]) * (match[3] === undefined ? UNITS[match[2] ?? '']! : 10 ** Number(match[3]))
}
