/**
 * The header `Content-Disposition` (RFC 6266, RFC 8187): under which name a browser saves a file.
 */

/** Names that mean a directory, or hide the file, wherever they are saved. */
const isUnfit = (name: string): boolean => /^\.*$/.test(name)

/**
 * `attachment` with a name that cannot leave its directory or break the header. Programs that know no UTF-8 names get
 * one in ASCII; `fallback`, itself safe, stands in for a name of which nothing is left.
 */
export const attachment = (name: string, fallback: string): string => {
  const safe = name
    .toWellFormed()
    // Path separators, characters that Windows forbids, control and direction characters.
    .replace(/[/\\:*?"<>|\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '_')
    .trim()
  const chosen = isUnfit(safe) ? fallback : safe
  const ascii = chosen.replace(/[^\x20-\x7e]/gu, '_').replaceAll('%', '_')
  const header = `attachment; filename="${ascii}"`
  return ascii === chosen ? header : `${header}; filename*=UTF-8''${encodeExtended(chosen)}`
}

/** Percent-encodes all but RFC 8187's attr-char. */
const encodeExtended = (text: string): string =>
  encodeURIComponent(text).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
