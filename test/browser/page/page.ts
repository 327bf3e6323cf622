/** The page of the browser suite: the client's build for browsers, driven from outside through `window.client`. */
import { createClient, type UploadResult } from '@holdfast/client/browser'

export interface Login {
  readonly namespace: string
  readonly key: string
}

export interface PageClient {
  /** Uploads the file that is chosen. */
  upload(login: Login, name: string): Promise<UploadResult>
  /** Downloads an artifact into memory; answers its SHA-512 by the platform's own means. */
  download(login: Login, name: string): Promise<{ verified: boolean; sha512: string }>
}

declare global {
  interface Window {
    client: PageClient
  }
}

const clientFor = (login: Login) => createClient({ url: new URL('/store', location.href).href, ...login })

window.client = {
  async upload(login, name) {
    const [source] = document.querySelector<HTMLInputElement>('#file')!.files!
    if (source === undefined) throw new Error('no file is chosen')
    return await clientFor(login).upload({ source, name })
  },

  async download(login, name) {
    const { content, verified } = await clientFor(login).download({ artifact: name, to: 'blob' })
    const digest = await crypto.subtle.digest('SHA-512', await content!.arrayBuffer())
    const sha512 = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
    return { verified, sha512 }
  },
}
