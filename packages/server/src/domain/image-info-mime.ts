import { fileTypeFromBuffer } from 'file-type'

/** How much of a blob's beginning its MIME type is judged by, in bytes. */
export const mimeHeadLength = 8 * 1024

/**
 * The MIME type of a blob that begins with `head`; `complete` when that is the whole blob.
 *
 * `file-type` knows the formats with a magic number. What it does not know is `text/plain` when it reads as text
 * (UTF-8 without control characters other than those that text files hold) and `application/octet-stream`
 * otherwise, as `file --mime-type` would say. An empty blob is `application/octet-stream`.
 */
export async function guessMimeType(head: Uint8Array, complete: boolean): Promise<string> {
  return (await knownType(head)) ?? (readsAsText(head, complete) ? 'text/plain' : 'application/octet-stream')
}

async function knownType(head: Uint8Array): Promise<string | undefined> {
  try {
    return (await fileTypeFromBuffer(head))?.mime
  } catch {
    // The head of a longer file ends in the middle of whatever a detector looks for, and hostile ones lie.
    return undefined
  }
}

/** Control characters except bell, backspace, tab, line feed, vertical tab, form feed, carriage return, escape. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what tells binary data from text
const binaryCharacter = /[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]/

function readsAsText(head: Uint8Array, complete: boolean): boolean {
  if (head.length === 0) return false
  try {
    // With `stream`, a character that the end of the head cuts in two is not an error.
    return !binaryCharacter.test(
      new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: !complete }),
    )
  } catch {
    return false
  }
}
