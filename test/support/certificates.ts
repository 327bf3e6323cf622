/** Certificates for tests, signed by themselves, made by openssl. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

export interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

/** Makes one for 127.0.0.1 and `name` in the directory. */
export const makeCertificate = (directory: string, name: string): CertificateFiles => {
  const files = { cert: join(directory, `${name}.pem`), key: join(directory, `${name}.key`) }
  const text =
    `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=${name} ` +
    `-addext subjectAltName=DNS:${name},IP:127.0.0.1 -keyout ${files.key} -out ${files.cert}`
  execFileSync('openssl', text.split(' '), { stdio: 'pipe' })
  return files
}
