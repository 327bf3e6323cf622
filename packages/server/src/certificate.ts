/**
 * HTTPS in the server itself: the certificate and its key, and their replacement while the server runs.
 *
 * The files are looked at every two seconds, by name: so it does not matter whether they are overwritten, replaced by rename, or
 * behind a link that is moved. A pair that does not fit together is one of which only a half has been replaced yet, and the
 * old one stays in use. Connections that are open keep the certificate that they began with, and go on.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { unwatchFile, watchFile } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions, type SecureVersion, type Server } from 'node:tls'
import type { Logger } from 'pino'
import { type Config, ConfigError } from './config.ts'
import type { Metrics } from './metrics.ts'

type CertificateConfig = Pick<Config, 'tlsCert' | 'tlsKey' | 'tlsMinVersion'>

/** A certificate with its chain and key, fit for use. */
export interface Certificate {
  readonly options: SecureContextOptions & { readonly cert: Buffer; readonly key: Buffer }
  readonly facts: { readonly subject: string; readonly names: string; readonly expires: string }
  /** ms since the epoch. */
  readonly expiresAt: number
}

/** Reads what the settings name; undefined when they name none. Throws `ConfigError` with words for the operator. */
export const readCertificate = async (config: CertificateConfig): Promise<Certificate | undefined> => {
  const { tlsCert, tlsKey, tlsMinVersion } = config
  if (tlsCert === '' && tlsKey === '') return undefined
  if (tlsCert === '' || tlsKey === '')
    throw new ConfigError(
      'HOLDFAST_TLS_CERT and HOLDFAST_TLS_KEY belong together, but only one of them is set',
    )
  const [cert, key] = await Promise.all([
    readNamed('HOLDFAST_TLS_CERT', tlsCert),
    readNamed('HOLDFAST_TLS_KEY', tlsKey),
  ])
  const first = orRefuse(
    `HOLDFAST_TLS_CERT: ${tlsCert} holds no certificate in PEM form`,
    () => new X509Certificate(cert),
  )
  const privateKey = orRefuse(
    `HOLDFAST_TLS_KEY: ${tlsKey} holds no private key in PEM form, or one that needs a passphrase`,
    () => createPrivateKey(key),
  )
  if (!first.checkPrivateKey(privateKey))
    throw new ConfigError(
      `HOLDFAST_TLS_KEY: the key in ${tlsKey} does not belong to the first certificate in ${tlsCert}`,
    )
  const options = { cert, key, minVersion: tlsMinVersion as SecureVersion }
  orRefuse(`HOLDFAST_TLS_CERT: ${tlsCert} cannot be used`, () => createSecureContext(options))
  return {
    options,
    facts: {
      subject: first.subject ?? '',
      names: first.subjectAltName ?? '',
      expires: first.validToDate.toISOString(),
    },
    expiresAt: first.validToDate.getTime(),
  }
}

const readNamed = async (variable: string, path: string): Promise<Buffer> => {
  try {
    return await readFile(path)
  } catch (error) {
    throw new ConfigError(`${variable}: ${(error as Error).message}`, { cause: error })
  }
}

const orRefuse = <T>(words: string, make: () => T): T => {
  try {
    return make()
  } catch (error) {
    throw new ConfigError(`${words} (${(error as Error).message})`, { cause: error })
  }
}

/** Says which certificate is in use, and whether it is too old. */
export const tellCertificate = (
  { facts, expiresAt }: Certificate,
  { log, metrics }: { readonly log: Logger; readonly metrics: Metrics },
): void => {
  metrics.certificateExpiry.set(expiresAt / 1000)
  if (expiresAt < Date.now()) log.warn(facts, 'the TLS certificate has expired')
  else log.info(facts, 'the TLS certificate in use')
}

/** Takes new certificates into use. */
export interface CertificateRenewal {
  /** Reads the files again; resolves when that is done, well or not. */
  renew(): Promise<void>
  close(): void
}

/** Looks after the certificate of a server that has begun with `first`. */
export const renewCertificate = (
  config: CertificateConfig,
  first: Certificate,
  server: Pick<Server, 'setSecureContext'>,
  parts: { readonly log: Logger; readonly metrics: Metrics },
): CertificateRenewal => {
  let current = first
  const readAgain = async (): Promise<void> => {
    try {
      const next = (await readCertificate(config))!
      const isSame =
        next.options.cert.equals(current.options.cert) && next.options.key.equals(current.options.key)
      if (isSame) return
      server.setSecureContext(next.options)
      current = next
      tellCertificate(current, parts)
    } catch (error) {
      parts.log.warn(
        { reason: (error as Error).message },
        'the new TLS certificate cannot be used; the old one stays',
      )
    }
  }
  let last = Promise.resolve()
  const renew = (): Promise<void> => {
    last = last.then(readAgain)
    return last
  }
  const paths = [config.tlsCert, config.tlsKey]
  for (const path of paths) watchFile(path, { interval: lookEveryMs, persistent: false }, renew)
  return {
    renew,
    close: () => {
      for (const path of paths) unwatchFile(path, renew)
    },
  }
}

const lookEveryMs = 2000
