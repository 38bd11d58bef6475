/** llhttp as WebAssembly: no public interface of undici, so it has no types (see llhttp.ts). */
declare module 'undici/lib/llhttp/llhttp_simd-wasm.js' {
  const build: Uint8Array
  export default build
}
