/**
 * `GET /`: a page for people. Clients search it for capability words as plain substrings, so no word that means
 * something else to them may occur in it by accident; a test holds that.
 */
import { holdfastCapabilities, originalCapabilities } from '@holdfast/api/capabilities'

const list = (words: readonly string[]): string =>
  `<ul>${words.map((word) => `<li><code>${word}</code></li>`).join('')}</ul>`

/**
 * The page. `path` is what stands in front of the server's paths. Where nobody has told it, links are relative, which is right as
 * long as the page's own URL ends with a slash.
 */
export const rootPage = (path: string): string =>
  page.replaceAll('href="', path === '' ? 'href="' : `href="${path}/`)

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Holdfast</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem }
ul { columns: 16rem }
</style>
</head>
<body>
<main>
<h1>Holdfast</h1>
<p>This server keeps large files: disk images, build outputs, model weights, backups. They arrive in pieces over
networks that fail, become versions of named artifacts, and leave again from any offset.</p>
<p><a href="ui/">See what is here, upload and download</a></p>
<nav aria-label="Documentation">
<p><a href="apidocs">The API, to read and to try</a> ·
<a href="openapi.json">its OpenAPI document</a> ·
<a href="readyz">is this server ready?</a></p>
</nav>
<h2>What it can do, in the words that clients look for</h2>
<h3>Shaken Fist's artifact API</h3>
${list(originalCapabilities)}
<h3>Beyond it</h3>
${list(holdfastCapabilities)}
</main>
</body>
</html>
`

/** What the page may load: nothing but its own style. */
export const rootPagePolicy =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
