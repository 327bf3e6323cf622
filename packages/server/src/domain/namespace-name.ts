/**
 * How a namespace may be called.
 */
import { HoldfastError } from '@holdfast/api/errors'
import { maxNamespaceLength } from '@holdfast/api/limits'

/**
 * Throws `namespace_illegal` for a name that could not stand in a URL or in a terminal: it has 1 to 64 characters, no
 * slash and no control characters, is well-formed Unicode, and is neither `.` nor `..`.
 */
export const checkNamespaceName = (name: string): void => {
  const length = [...name].length
  const legal =
    length >= 1 &&
    length <= maxNamespaceLength &&
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    !/[/\u0000-\u001f\u007f]/.test(name) &&
    name.isWellFormed() &&
    name !== '.' &&
    name !== '..'
  if (!legal)
    throw new HoldfastError('namespace_illegal', {
      message:
        `illegal namespace name: 1 to ${maxNamespaceLength} characters, ` +
        'without slashes and control characters, and not "." or ".."',
    })
}
