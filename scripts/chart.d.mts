/** Every generated file (path from the root) with its text; manifests/ only where helm is. */
export function generated(helm?: string | null): Record<string, string>
