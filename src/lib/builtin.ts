/**
 * A module of Node's own, when it is asked for and without its ESM facade. An `import` of `node:http` reads every export of the module, and reading `WebSocket`
 * and its like loads the undici inside Node: 6 MiB of memory and tens of milliseconds that a sidecar pays for nothing (measured: 15.7 against 9.4 MiB
 * anonymous in a process that does nothing else). test/budget holds the sidecar to it.
 * @param name such as `node:http`
 */
export const builtin: typeof process.getBuiltinModule = (name: string) => process.getBuiltinModule(name as never)
