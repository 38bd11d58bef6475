/**
 * Frees the memory of a buffer now: nobody may look at it any more. Left to the garbage collector, which cares for memory outside of its heap only after 64 MiB of it, such
 * buffers alone would be more than a small container has. One that shares its memory with others (node's pool) is left alone.
 */
export function letGo(buffer: Buffer): void {
  if (buffer.byteLength === buffer.buffer.byteLength) (buffer.buffer as ArrayBuffer).transfer(0)
}
