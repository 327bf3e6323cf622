/** Writes `docs/errors.md` from the error table: `node scripts/errors-doc.ts`. A test holds the two equal. */
import { writeFileSync } from 'node:fs'
import { errorTable } from '@holdfast/api/errors'

const rows = Object.entries(errorTable).map(
  ([code, { status, message, retryable }]) =>
    `| \`${code}\` | ${status} | ${message} | ${retryable ? 'yes' : ''} |`,
)

/** The page, whole. */
export const errorsDoc = `# Errors

Every refusal is JSON: \`{"error": TEXT, "status": CODE, "code": WORD, "detail": {...}, "request_id": ID}\`. \`error\` is for people
and may change; \`code\` is for programs and does not; \`detail\` holds facts a program may use (a true offset, a limit, the
candidates of an ambiguous name) and is absent where there are none. Send \`request_id\` along when you ask for help: the
server's log has it.

"Retry" says that the same request may succeed later without anybody changing anything; the client library repeats those,
with growing pauses and no sooner than \`Retry-After\` says, and never the others.

This page is made from \`packages/api/src/errors.ts\` by \`node scripts/errors-doc.ts\`.

| code | status | error | retry |
| --- | --- | --- | --- |
${rows.join('\n')}
`

if (process.argv[1] === import.meta.filename)
  writeFileSync(new URL('../docs/errors.md', import.meta.url), errorsDoc)
