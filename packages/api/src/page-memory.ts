/**
 * Memory that begins where a page of the machine does, for large pieces that the kernel copies from and to files and sockets.
 *
 * `malloc` lets a large piece begin 16 bytes after the border of a page. A file's pages begin at their borders, and AMD's
 * processors copy from there to a little further on in a page at a third of their speed
 * (docs/decisions/0087-memory-from-the-border-of-a-page.md). A buffer that may grow is not made by `malloc` but of whole pages,
 * so these may, by nothing. No rule says that it must be so: where it is not, copies are slower and nothing else.
 */

/** `bytes` of memory, all zero. */
export const pageMemory = (bytes: number): ArrayBuffer => new ArrayBuffer(bytes, { maxByteLength: bytes })

/** The same, to be shared between threads. */
export const sharedPageMemory = (bytes: number): SharedArrayBuffer =>
  new SharedArrayBuffer(bytes, { maxByteLength: bytes })
