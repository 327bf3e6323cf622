import { rename, rm, writeFile } from 'node:fs/promises'

/** One name, so that a program that is killed leaves at most one such file, and the next one uses it up. */
const temporaryOf = (path: string) => `${path}.tmp`

/** Replaces a small private file as a whole: a reader sees the old text or the new one. */
export const replaceFile = async (path: string, text: string): Promise<void> => {
  await writeFile(temporaryOf(path), text, { mode: 0o600 })
  await rename(temporaryOf(path), path)
}

/** Removes such a file, if there is one, and what a killed program left of its successor. */
export const removeFile = async (path: string): Promise<void> => {
  await rm(path, { force: true })
  await rm(temporaryOf(path), { force: true })
}
