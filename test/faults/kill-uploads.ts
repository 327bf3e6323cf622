/** What a client of the kill suite does with uploads, and how it finds out what became of a request without a reply. */
import { request as httpRequest } from 'node:http'
import { Readable } from 'node:stream'
import { bytesOf, sha512 } from './harness.ts'
import { KillBooks, type UploadBook } from './kill-books.ts'

/** Contents that all clients send now and then. */
const commonContents = Array.from({ length: 6 }, (_, n) => bytesOf(`common ${n}`, 1000 + n * n * 9973))
const maxUploadSize = 1_500_000

export class KillUploads extends KillBooks {
  protected body(): Buffer {
    const size = this.random.weighted({ none: 1, small: 10, middle: 10, large: 2 })
    const most = { none: 0, small: 5000, middle: 200_000, large: 1_200_000 }[size]
    return bytesOf(`${this.label} ${this.random.next()}`, this.random.between(0, most))
  }

  protected async create(): Promise<UploadBook | undefined> {
    const before = Date.now()
    const answer = await this.ask(undefined, () => this.current.post('/upload'))
    if (!this.expect(answer, 200, 'create an upload')) return undefined
    const upload = { uuid: answer.json.uuid as string, content: Buffer.alloc(0), lastDataAt: before }
    this.uploads.push(upload)
    return upload
  }

  protected appendOrConvert(upload: UploadBook): Promise<void> {
    return upload.content.length > maxUploadSize ? this.convert(upload) : this.append(upload, this.body())
  }

  protected async append(upload: UploadBook, body: Buffer): Promise<void> {
    const isPlain = this.random.chance(0.6)
    const before = Date.now()
    const size = upload.content.length
    const headers: Record<string, string> = isPlain ? {} : { 'Upload-Offset': `${size}` }
    const isChunked = this.random.chance(0.3)
    const settle = () => (isPlain ? this.settlePlain(upload, body) : this.settleConditional(upload, body))
    const answer = await this.ask(settle, () =>
      this.current.send('POST', `/upload/${upload.uuid}`, {
        body: isChunked ? Readable.from([body.subarray(0, 1000), body.subarray(1000)]) : body,
        headers,
      }),
    )
    if (this.isGone(answer, upload, 'append')) return
    if (!this.expect(answer, 200, `append ${body.length} bytes to ${size}`)) return this.forget(upload)
    this.report.check(
      answer.json === size + body.length,
      () => `${this.label}: ${size} + ${body.length} bytes were acknowledged as ${answer.bytes}`,
    )
    upload.content = Buffer.concat([upload.content, body])
    if (body.length > 0) upload.lastDataAt = before
    this.report.count(isPlain ? 'plain appends acknowledged' : 'conditional appends acknowledged')
  }

  /** The connection goes away in the middle of the body: nothing of it stays, or with an offset a prefix. */
  protected async cutAppend(upload: UploadBook): Promise<void> {
    const isPlain = this.random.chance(0.5)
    const body = bytesOf(`${this.label} cut ${this.random.next()}`, this.random.between(2, 400_000))
    const sent = this.random.between(0, body.length - 1)
    const { hostname, port } = new URL(this.base)
    await new Promise<void>((resolve) => {
      const request = httpRequest({
        host: hostname,
        port,
        method: 'POST',
        path: `/upload/${upload.uuid}`,
        agent: false,
        headers: {
          Authorization: `Bearer ${this.current.token}`,
          'Content-Length': body.length,
          ...(isPlain ? {} : { 'Upload-Offset': `${upload.content.length}` }),
        },
      })
      request.on('error', () => {}).on('response', (response) => response.resume())
      request.on('close', resolve)
      if (sent === 0) request.flushHeaders()
      else request.write(body.subarray(0, sent))
      setTimeout(() => request.destroy(), this.random.between(0, 30))
    })
    this.unsettled = () =>
      isPlain ? this.settlePlain(upload, undefined) : this.settleConditional(upload, body.subarray(0, sent))
    await this.unsettled()
    this.unsettled = undefined
  }

  protected async settlePlain(upload: UploadBook, body: Buffer | undefined): Promise<void> {
    const answer = await this.ask(undefined, () => this.current.get(`/upload/${upload.uuid}`))
    if (this.isGone(answer, upload, 'after a lost append')) return
    if (!this.expect(answer, 200, 'show an upload')) return this.forget(upload)
    const before = upload.content.length
    const size = answer.json.size as number
    const isWhole = body !== undefined && size === before + body.length
    this.report.check(
      size === before || isWhole,
      () =>
        `${this.label}: torn plain append: ${before} + ${body?.length ?? 'a cut body'} bytes became ${size}`,
    )
    if (isWhole) upload.content = Buffer.concat([upload.content, body])
    else if (size !== before) this.forget(upload)
  }

  /**
   * Any prefix may be there, and more of it may come: what a frozen node has taken is passed on when it goes on, as long as the offset is
   * right. So the rest is sent, as by everybody who goes on with a file; after that it is not.
   */
  protected async settleConditional(upload: UploadBook, body: Buffer): Promise<void> {
    const path = `/upload/${upload.uuid}`
    const before = upload.content.length
    for (;;) {
      const status = await this.ask(undefined, () => this.current.get(path))
      if (this.isGone(status, upload, 'after a lost append')) return
      if (!this.expect(status, 200, 'show an upload')) return this.forget(upload)
      const size = status.json.size as number
      const isPrefix = size >= before && size <= before + body.length
      this.report.check(
        isPrefix,
        () => `${this.label}: conditional append of ${body.length} bytes to ${before} left ${size}`,
      )
      if (!isPrefix) return this.forget(upload)
      const rest = body.subarray(size - before)
      if (rest.length === 0) break
      const headers = { 'Upload-Offset': `${size}` }
      const answer = await this.ask(undefined, () => this.current.send('POST', path, { body: rest, headers }))
      if (answer.status === 200) break
      if (this.isGone(answer, upload, 'the rest of a lost append')) return
      const offset = Number(answer.headers['upload-offset'])
      if (!this.report.check(answer.status === 409 && offset > size, () => `${this.label}: ${answer.bytes}`))
        return this.forget(upload)
    }
    upload.content = Buffer.concat([upload.content, body])
  }

  protected async truncate(upload: UploadBook): Promise<void> {
    const size = this.random.chance(0.2) ? 0 : this.random.between(0, upload.content.length)
    const settle = async () => {
      const answer = await this.ask(undefined, () => this.current.get(`/upload/${upload.uuid}`))
      if (this.isGone(answer, upload, 'after a lost truncation')) return
      const found = answer.json?.size as number
      if (
        !this.report.check(
          answer.status === 200 && (found === size || found === upload.content.length),
          () => `${this.label}: truncating ${upload.content.length} to ${size} left ${answer.bytes}`,
        )
      )
        return this.forget(upload)
      upload.content = upload.content.subarray(0, found)
    }
    const answer = await this.ask(settle, () => this.current.post(`/upload/${upload.uuid}/truncate/${size}`))
    if (this.isGone(answer, upload, 'truncate')) return
    if (this.expect(answer, 200, 'truncate')) upload.content = upload.content.subarray(0, size)
    else this.forget(upload)
  }

  protected async giveUp(upload: UploadBook): Promise<void> {
    const remove = async () => {
      const answer = await this.ask(remove, () => this.current.delete(`/upload/${upload.uuid}`))
      this.report.check(
        answer.status === 200 || answer.status === 404,
        () => `${this.label}: delete an upload: ${answer.bytes}`,
      )
      this.forget(upload)
    }
    await remove()
  }

  protected async convert(upload: UploadBook): Promise<void> {
    if (upload.content.length === 0) await this.append(upload, bytesOf(`${this.label} first`, 1 + this.names))
    if (!this.uploads.includes(upload) || upload.content.length === 0) return
    const expected = this.random.chance(0.5)
      ? { sha512: sha512(upload.content), size: upload.content.length }
      : {}
    const { name, type } = this.pickTarget()
    const body = { upload_uuid: upload.uuid, artifact_type: type, ...expected }
    const ask = () => this.current.post(`/artifacts/upload/${encodeURIComponent(name)}`, body)
    const settle = async () => {
      const answer = await this.ask(undefined, ask)
      if (this.isGone(answer, upload, 'convert again')) return
      this.forget(upload)
      this.report.count('conversions repeated after a lost reply')
      if (this.expect(answer, 200, 'convert again')) this.book({ name, type }, upload.content, answer.json)
    }
    const answer = await this.ask(settle, ask)
    if (this.isGone(answer, upload, 'convert')) return
    this.forget(upload)
    if (!this.expect(answer, 200, 'convert')) return
    this.book({ name, type }, upload.content, answer.json)
    if (!this.random.chance(0.1)) return
    const again = await this.ask(undefined, ask)
    if (this.expect(again, 200, 'convert once more'))
      this.report.check(
        again.json.index === answer.json.index && again.json.uuid === answer.json.uuid,
        () =>
          `${this.label}: repeating a conversion gave version ${again.json.index}, not ${answer.json.index}`,
      )
  }

  protected async convertWithWrongDigest(upload: UploadBook): Promise<void> {
    if (upload.content.length === 0) return
    const { name, type } = this.pickTarget()
    const answer = await this.ask(undefined, () =>
      this.current.post(`/artifacts/upload/${encodeURIComponent(name)}`, {
        upload_uuid: upload.uuid,
        artifact_type: type,
        sha512: sha512(Buffer.from('something else')),
      }),
    )
    if (this.isGone(answer, upload, 'convert with a wrong digest')) return
    this.expect(answer, 409, 'convert with a wrong digest')
  }

  /** Content that other clients store too, at the same time as collection removes it. */
  protected async storeCommon(): Promise<void> {
    const upload = await this.create()
    if (!upload) return
    await this.append(upload, this.random.pick(commonContents))
    if (this.uploads.includes(upload)) await this.convert(upload)
  }
}
