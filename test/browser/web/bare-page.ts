/**
 * The least that a page in this browser can do: send a file by `fetch` in the slices that the client ends up with, with or
 * without the hash beside it, and draw nothing. What the real page takes is held against it.
 */
import type { Page } from 'playwright-core'

export interface BareUpload {
  /** Where the appends go, and what lets them. */
  readonly url: string
  readonly token: string
  readonly isHashed: boolean
}

const sliceBytes = 64 * 1024 * 1024

/** Where the built page has its hash worker. Its name is in the page's script. */
const findHashWorker = async (pageUrl: string): Promise<string> => {
  const textOf = async (url: URL) => await (await fetch(url)).text()
  const page = await textOf(new URL(pageUrl))
  const script = new URL(/src="([^"]+\.js)"/.exec(page)![1]!, pageUrl)
  return new URL(/hash-worker-[\w-]+\.js/.exec(await textOf(script))![0], script).href
}

/** Sends a file from a page of the store; answers the seconds that it took. Nothing is converted. */
export const sendBare = async (page: Page, path: string, upload: BareUpload): Promise<number> => {
  const worker = await findHashWorker(page.url())
  await page.evaluate(() => {
    const input = document.createElement('input')
    input.type = 'file'
    document.body.replaceChildren(input)
  })
  await page.setInputFiles('input[type=file]', path)
  return await page.evaluate(
    async ({ url, token, isHashed, worker, sliceBytes }) => {
      const file = document.querySelector('input')!.files![0]!
      const send = async () => {
        for (let at = 0; at < file.size; at += sliceBytes) {
          const headers = {
            authorization: `Bearer ${token}`,
            'content-type': 'application/octet-stream',
            'upload-offset': String(at),
          }
          const reply = await fetch(url, {
            method: 'POST',
            headers,
            body: file.slice(at, at + sliceBytes),
          })
          if (!reply.ok) throw new Error(await reply.text())
          await reply.text()
        }
      }
      const hash = () =>
        new Promise<void>((resolve, reject) => {
          const hasher = new Worker(worker, { type: 'module' })
          hasher.onerror = () => reject(new Error('the hash worker failed'))
          hasher.onmessage = ({ data }) => {
            if (data.kind === 'digest') resolve()
            else if (data.kind !== 'hashed') reject(new Error(data.message))
          }
          hasher.postMessage({ kind: 'blob', blob: file })
          hasher.postMessage({ kind: 'finish' })
        })
      const began = performance.now()
      await Promise.all([send(), ...(isHashed ? [hash()] : [])])
      return (performance.now() - began) / 1000
    },
    { ...upload, worker, sliceBytes },
  )
}
