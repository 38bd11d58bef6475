/** The names that the controller, the injected pod, the chart and `sidegate check` share. Manifests and clusters rely on them: to change one takes an entry in CHANGELOG.md and a way to migrate. */

export const INJECT_ANNOTATION = 'sidegate.dev/inject'
export const PROFILE_ANNOTATION = 'sidegate.dev/profile'
/** Label on every injected pod; what the NetworkPolicy selects. */
export const INJECTED_LABEL = 'sidegate.dev/injected'
/** Label on a namespace: every pod there is injected unless it says `sidegate.dev/inject: "false"`. */
export const NAMESPACE_LABEL = 'sidegate.dev/inject'
export const SIDECAR_CONTAINER = 'sidegate'
/** A pod without `sidegate.dev/profile` gets this one. */
export const DEFAULT_PROFILE = 'default'

/** ConfigMap in each namespace with injected pods; one key `<profile>.json` per profile. The sidecar mounts it as a directory, whole. */
export const CONFIG_COPY = 'sidegate-config'
/** NetworkPolicy in each namespace with injected pods. */
export const NETWORK_POLICY = 'sidegate'
/** The one source ConfigMap, in the release namespace; keys `issuers` and `profiles`, YAML or JSON. */
export const SOURCE_CONFIG = 'sidegate-profiles'
/** The last accepted configuration, in the release namespace: what a restarted controller goes on with while the source is broken. */
export const ACCEPTED_CONFIG = 'sidegate-profiles-accepted'
/** On what the controller makes. */
export const MANAGED_BY_LABEL = 'app.kubernetes.io/managed-by'
export const MANAGED_BY = 'sidegate-controller'

/** The key of a profile in {@link CONFIG_COPY}. */
export function profileKey(profile: string): string {
  return `${profile}.json`
}

/** Protected ports: 15001 is the first; at most {@link MAX_PROTECTED_PORTS} per pod, all below the health port. */
export const FIRST_PROTECTED_PORT = 15_001
export const MAX_PROTECTED_PORTS = 16
export const ADMIN_PORT = 15_000
export const HEALTH_PORT = 15_020

/** Every annotation and label of ours begins with this; what is unknown among them is refused. */
export const PREFIX = 'sidegate.dev/'
export const PORTS_ANNOTATION = 'sidegate.dev/ports'
export const INTERCEPTION_ANNOTATION = 'sidegate.dev/interception'
export const MODE_ANNOTATION = 'sidegate.dev/mode'
/** Written by the injector: what uninject needs to know of the pod as it was. Refused when a user sets it. */
export const ORIGINAL_ANNOTATION = 'sidegate.dev/original'
/** Label on every injected pod with its interception: the NetworkPolicy lets only `port` pods be narrowed to the sidecar's own ports. */
export const INTERCEPTION_LABEL = 'sidegate.dev/interception'
export const DEFAULT_CONTAINER_ANNOTATION = 'kubectl.kubernetes.io/default-container'
/** Its pods have to start whatever becomes of Sidegate; and nothing is written there for whoever reaches the webhook's port. */
export const SYSTEM_NAMESPACE = 'kube-system'

/** The init container of interception `redirect`. */
export const REDIRECT_CONTAINER = 'sidegate-redirect'
/** The volume with {@link CONFIG_COPY} and where the sidecar has it. */
export const CONFIG_VOLUME = 'sidegate-config'
export const CONFIG_DIRECTORY = '/etc/sidegate'
/** First port of the kernel's default range for outgoing connections: one of those may hold it when the sidecar wants to bind. */
export const FIRST_EPHEMERAL_PORT = 32_768
