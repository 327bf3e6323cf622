import { open, rename } from 'node:fs/promises'

/** What a client needs to log in, in the form of the official client's `~/.shakenfist`. */
export interface ClientFile {
  readonly namespace: string
  readonly key: string
  readonly apiurl: string
}

/** Writes the file for its owner's eyes only. Whoever reads it sees the old or the new one, never half of it. */
export const writeClientFile = async (path: string, content: ClientFile): Promise<void> => {
  const temporary = `${path}.new`
  const file = await open(temporary, 'w', 0o600)
  try {
    await file.chmod(0o600)
    await file.writeFile(`${JSON.stringify(content, null, 2)}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
}
