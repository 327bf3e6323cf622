/**
 * The settings of a server: every `HOLDFAST_*` environment variable, its default and its meaning, in one table.
 * `main.js` parses the environment once; nothing else reads it. `docs/operators-guide.md` lists this table.
 */
import { hostname } from 'node:os'
import {
  bytes,
  ConfigError,
  count,
  endpoint,
  flag,
  list,
  MiB,
  networks,
  oneOf,
  type Setting,
  seconds,
  secret,
  TiB,
  text,
} from './setting-kinds.ts'

export { ConfigError } from './setting-kinds.ts'

const minute = 60
const hour = 60 * minute
const day = 24 * hour

/** The table of settings. */
export const settings = {
  listen: text('HOLDFAST_LISTEN', '127.0.0.1:13000', 'Address and port to listen on.'),
  dataDir: text('HOLDFAST_DATA_DIR', './holdfast-data', 'Where everything is kept.'),
  databaseUrl: secret(
    'HOLDFAST_DATABASE_URL',
    'Where the metadata is kept, if not in the data directory: postgres://user@host:port/database. The password may stand in it, in the password file of PostgreSQL (PGPASSFILE), or in PGPASSWORD.',
  ),
  databaseUrlFile: text(
    'HOLDFAST_DATABASE_URL_FILE',
    '',
    'A file that holds the URL of the database, instead of HOLDFAST_DATABASE_URL.',
  ),
  databaseConnections: count(
    'HOLDFAST_DATABASE_CONNECTIONS',
    10,
    'Most connections of this node to PostgreSQL; half of them may be writing.',
  ),
  databaseTimeout: seconds(
    'HOLDFAST_DATABASE_TIMEOUT',
    30,
    'A statement that takes PostgreSQL longer is ended.',
  ),
  databasePatience: seconds(
    'HOLDFAST_DATABASE_PATIENCE',
    5,
    'While PostgreSQL has been away for less than this, requests wait; then they are refused with 503.',
  ),
  blobStore: text(
    'HOLDFAST_BLOB_STORE',
    '',
    'Where the blobs are kept, if not in the data directory: s3://bucket or s3://bucket/prefix. Credentials are found as by every program of Amazon: in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in ~/.aws, or from the machine.',
  ),
  s3Endpoint: endpoint('HOLDFAST_S3_ENDPOINT', 'URL of the S3 service; that of Amazon when empty.'),
  s3Region: text('HOLDFAST_S3_REGION', 'us-east-1', 'Region of the bucket; most other stores take any.'),
  s3Addressing: oneOf(
    'HOLDFAST_S3_ADDRESSING',
    ['auto', 'path', 'virtual-host'],
    'path: the name of the bucket stands in the path of URLs; virtual-host: in their host name; auto: path with HOLDFAST_S3_ENDPOINT, virtual-host without.',
  ),
  s3Connections: count(
    'HOLDFAST_S3_CONNECTIONS',
    64,
    'Most connections to the S3 service for downloads, and as many again for everything else.',
  ),
  s3Timeout: seconds(
    'HOLDFAST_S3_TIMEOUT',
    20,
    'A connection to the S3 service on which nothing moves for this long is given up.',
  ),
  s3Patience: seconds(
    'HOLDFAST_S3_PATIENCE',
    10,
    'A call of the S3 service that fails is repeated for this long; then requests are refused with 503.',
  ),
  s3Redirect: flag(
    'HOLDFAST_S3_REDIRECT',
    false,
    'Whether clients that ask for it (Prefer: redirect) are sent to the S3 service for the bytes of a blob, with a signed URL; they must be able to reach it.',
  ),
  nodeName: text('HOLDFAST_NODE_NAME', hostname(), 'Name of this node in replies and events.'),
  nodeUrl: endpoint(
    'HOLDFAST_NODE_URL',
    'URL under which the other nodes reach this one, with several nodes (PostgreSQL and S3); made from the address when empty. Uploads and tokens pass there: use https, or a network of your own.',
  ),
  nodeTimeout: seconds(
    'HOLDFAST_NODE_TIMEOUT',
    15,
    'A node that has not been heard of for this long is taken for gone: its uploads have to be begun again, its jobs pass to others.',
  ),
  publicUrl: text(
    'HOLDFAST_PUBLIC_URL',
    '',
    'URL under which clients reach the server; made from the address when empty. Its path, such as /api, may stand in front of the path of every request, or be taken off by the proxy.',
  ),
  trustedProxies: networks(
    'HOLDFAST_TRUSTED_PROXIES',
    'Addresses and networks of reverse proxies, whose headers tell where a request comes from, and for which URL.',
  ),
  proxyHeaders: oneOf(
    'HOLDFAST_PROXY_HEADERS',
    ['x-forwarded', 'forwarded'],
    'Which headers the trusted proxies set: X-Forwarded-For, -Proto, -Host and -Prefix, or Forwarded (RFC 7239). The others are not believed.',
  ),
  accelRedirect: text(
    'HOLDFAST_ACCEL_REDIRECT',
    '',
    'Internal location of nginx that has the directory blobs, such as /holdfast-blobs/: downloads through a trusted proxy are left to nginx, which does not compare the bytes with their checksums. Off when empty.',
  ),
  tlsCert: text(
    'HOLDFAST_TLS_CERT',
    '',
    'File with the certificate (PEM) and those that lead from it to a root: with it the server speaks HTTPS. It is read again when it changes, and at SIGHUP.',
  ),
  tlsKey: text(
    'HOLDFAST_TLS_KEY',
    '',
    'File with the private key of the certificate (PEM, without a passphrase).',
  ),
  tlsMinVersion: oneOf(
    'HOLDFAST_TLS_MIN_VERSION',
    ['TLSv1.2', 'TLSv1.3'],
    'Oldest version of TLS that is spoken.',
  ),
  systemKey: secret('HOLDFAST_SYSTEM_KEY', 'First key of the namespace system; made and stored when absent.'),
  logLevel: text('HOLDFAST_LOG_LEVEL', 'info', 'trace, debug, info, warn, error or silent.'),
  tokenLifetime: seconds('HOLDFAST_TOKEN_LIFETIME', 15 * minute, 'How long an access token is good for.'),
  maxFileSize: bytes(
    'HOLDFAST_MAX_FILE_SIZE',
    16 * TiB,
    'Largest upload, and largest file fetched from a URL.',
  ),
  maxAppendSize: bytes('HOLDFAST_MAX_APPEND_SIZE', 16 * TiB, 'Largest body of one append.'),
  freeSpaceReserve: bytes(
    'HOLDFAST_FREE_SPACE_RESERVE',
    256 * MiB,
    'Space that uploads leave free on the data disk.',
  ),
  namespaceMaxBytes: bytes(
    'HOLDFAST_NAMESPACE_MAX_BYTES',
    0,
    'Most bytes a namespace may keep, its uploads included; 0 is no limit. Not for the namespace system.',
  ),
  namespaceMaxArtifacts: count(
    'HOLDFAST_NAMESPACE_MAX_ARTIFACTS',
    0,
    'Most artifacts a namespace may have; 0 is no limit. Not for the namespace system.',
  ),
  namespaceMaxUploads: count(
    'HOLDFAST_NAMESPACE_MAX_UPLOADS',
    10_000,
    'Most unfinished uploads a namespace may have; 0 is no limit. Not for the namespace system.',
  ),
  maxConnections: count(
    'HOLDFAST_MAX_CONNECTIONS',
    10_000,
    'Most open connections; more are not accepted. 0 is no limit.',
  ),
  maxRequests: count('HOLDFAST_MAX_REQUESTS', 1024, 'Most requests in flight; 0 is no limit.'),
  namespaceMaxRequests: count(
    'HOLDFAST_NAMESPACE_MAX_REQUESTS',
    512,
    'Most requests in flight of one namespace, and of all clients without a token together; 0 is no limit.',
  ),
  requestTimeout: seconds(
    'HOLDFAST_REQUEST_TIMEOUT',
    30,
    'How long the headers of a request, and then its JSON body, may take to arrive. Not for the bytes of uploads.',
  ),
  downloadStall: seconds(
    'HOLDFAST_DOWNLOAD_STALL',
    5 * minute,
    'A download whose receiver takes no byte for this long is cut.',
  ),
  backupDir: text(
    'HOLDFAST_BACKUP_DIR',
    '',
    'Where backups made through the API are written; without it they are refused.',
  ),
  uploadExpiry: seconds('HOLDFAST_UPLOAD_EXPIRY', day, 'Uploads without new data for this long are removed.'),
  uploadStall: seconds(
    'HOLDFAST_UPLOAD_STALL',
    30,
    'An append without a byte for this long is given up, also to one that waits for its upload.',
  ),
  leaseLifetime: seconds(
    'HOLDFAST_LEASE_LIFETIME',
    hour,
    'How long a positive checksum answer keeps a blob.',
  ),
  collectGrace: seconds(
    'HOLDFAST_COLLECT_GRACE',
    hour,
    'A blob that nothing refers to is kept for this long.',
  ),
  tombstoneLifetime: seconds(
    'HOLDFAST_TOMBSTONE_LIFETIME',
    30 * day,
    'Deleted artifacts are shown by UUID for this long.',
  ),
  eventLifetime: seconds('HOLDFAST_EVENT_LIFETIME', 90 * day, 'Events are kept for this long.'),
  verifyInterval: seconds(
    'HOLDFAST_VERIFY_INTERVAL',
    day,
    'Every blob is read again and compared with its digest this often; 0: only when asked.',
  ),
  verifyRate: bytes(
    'HOLDFAST_VERIFY_RATE',
    64 * MiB,
    'How much of the blobs is read in a second to verify them; 0 is no limit.',
  ),
  readVerify: flag(
    'HOLDFAST_READ_VERIFY',
    true,
    'Whether every block of a download is compared with its checksum before it is sent.',
  ),
  jobInterval: seconds('HOLDFAST_JOB_INTERVAL', minute, 'Pause between runs of the housekeeping jobs.'),
  fetchAllow: list(
    'HOLDFAST_FETCH_ALLOW',
    'Hosts, addresses and networks that POST /artifacts may reach although they are not public.',
  ),
  fetchMaxSize: bytes('HOLDFAST_FETCH_MAX_SIZE', TiB, 'Largest file fetched from a URL.'),
  fetchAttempts: count(
    'HOLDFAST_FETCH_ATTEMPTS',
    5,
    'How often a fetch is tried before its artifact goes to the state error.',
  ),
  fetchPause: seconds(
    'HOLDFAST_FETCH_PAUSE',
    2,
    'Pause before the second try of a fetch; each later one is twice as long.',
  ),
  extensions: flag(
    'HOLDFAST_EXTENSIONS',
    true,
    'Whether the server offers what it adds to the API of Shaken Fist; off is for trying clients without it.',
  ),
  stopDelay: seconds(
    'HOLDFAST_STOP_DELAY',
    0,
    'How long after SIGTERM the server goes on as before, while GET /readyz says already that it stops: time for a balancer to notice.',
  ),
  shutdownTimeout: seconds('HOLDFAST_SHUTDOWN_TIMEOUT', 30, 'How long SIGTERM waits for requests in flight.'),
} as const satisfies Record<
  string,
  | Setting<never>
  | Setting<string>
  | Setting<number>
  | Setting<boolean>
  | Setting<string | undefined>
  | Setting<readonly string[]>
>

/** The parsed settings, frozen. Times are in seconds, sizes in bytes. */
export type Config = { readonly [K in keyof typeof settings]: (typeof settings)[K]['fallback'] }

/** Reads the settings from an environment; throws `ConfigError` for a bad value and for a misspelt variable. */
export const parseConfig = (environment: Readonly<Record<string, string | undefined>>): Config => {
  const known = new Set<string>(Object.values(settings).map((setting) => setting.variable))
  const unknown = Object.keys(environment).filter((name) => name.startsWith('HOLDFAST_') && !known.has(name))
  if (unknown.length > 0) throw new ConfigError(`unknown settings: ${unknown.join(', ')}`)
  return Object.freeze(
    Object.fromEntries(
      Object.entries(settings).map(([name, setting]) => {
        const value = environment[setting.variable]
        return [name, value === undefined || value === '' ? setting.fallback : setting.parse(value)]
      }),
    ),
  ) as Config
}

/** Whether the blobs are kept by a service of their own, and not in the data directory. */
export const hasOwnBlobStore = ({ blobStore }: Config): boolean => blobStore !== ''

/** The settings for a log line, secrets masked. */
export const describeConfig = (config: Config): Record<string, unknown> =>
  Object.fromEntries(
    (Object.keys(settings) as (keyof typeof settings)[]).map((name) => {
      const hidden = (settings[name] as Setting<unknown>).secret && config[name] !== undefined
      return [settings[name].variable, hidden ? '********' : config[name]]
    }),
  )
