/** Label selectors (meta/v1 LabelSelector and the plain maps of Services). */

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[]
}

type Labels = Readonly<Record<string, string>>

/** A plain map: all must be equal. An empty one selects nothing (a Service without selector). */
export function matchesMap(selector: Labels | undefined, labels: Labels): boolean {
  const entries = Object.entries(selector ?? {})
  return entries.length > 0 && entries.every(([key, value]) => labels[key] === value)
}

/** A LabelSelector: an empty one selects everything. */
export function matchesSelector({ matchLabels, matchExpressions }: LabelSelector, labels: Labels): boolean {
  return Object.entries(matchLabels ?? {}).every(([key, value]) => labels[key] === value)
    && (matchExpressions ?? []).every(({ key, operator, values = [] }) => {
      const value = Object.hasOwn(labels, key) ? labels[key] : undefined
      switch (operator) {
        case 'In': return value !== undefined && values.includes(value)
        case 'NotIn': return value === undefined || !values.includes(value)
        case 'Exists': return value !== undefined
        case 'DoesNotExist': return value === undefined
        // Unknown to us: rather one warning too many.
        default: return true
      }
    })
}
