/** The command line's word for everything the page does. */

/** An argument as a POSIX shell takes it. */
const quote = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`

const command = (...words: (string | number | undefined)[]): string =>
  [
    'holdfast',
    ...words.filter((word) => word !== undefined && word !== '').map((word) => quote(String(word))),
  ].join(' ')

/** `type=image` as `--type image`, `metadata.os=linux` as `--metadata os=linux`. */
const listOption = ([name, value]: [string, string | undefined]): string[] => {
  if (!value || name === 'label') return []
  const [option, key] = name.split('.')
  return [`--${option}`, key ? `${name.slice('metadata.'.length)}=${value}` : value]
}

export interface UploadWords {
  readonly name: string
  readonly file: string
  readonly artifactType?: string | undefined
  readonly shared?: boolean | undefined
}

const optionsOf = ({ artifactType = 'image', shared = false }: UploadWords): string[] => [
  ...(artifactType === 'image' ? [] : ['--type', artifactType]),
  ...(shared ? ['--shared'] : []),
]

export const commands = {
  login: (url: string, namespace: string) => command('login', url, '--namespace', namespace || 'NAMESPACE'),
  /** `filters`: the list's conditions, by the names of the query; `blob`: what the label among them points at. */
  listArtifacts: (filters: Readonly<Record<string, string | undefined>> = {}, blob?: string) =>
    command('artifact', 'list', ...Object.entries({ ...filters, blob }).flatMap(listOption)),
  showArtifact: (ref: string) => command('artifact', 'show', ref),
  /** Several files that keep their names go by one command; otherwise there is one for each. */
  upload: (uploads: readonly UploadWords[]) =>
    uploads.length > 1 && uploads.every(({ name, file }) => name === file)
      ? command('artifact', 'upload', ...optionsOf(uploads[0]!), '--each', ...uploads.map(({ file }) => file))
      : uploads
          .map((words) => command('artifact', 'upload', ...optionsOf(words), words.name, words.file))
          .join(' &&\n'),
  uploadList: () => command('upload', 'list'),
  uploadAbort: (uuid: string) => command('upload', 'abort', uuid),
  download: (ref: string, file: string, version?: number) =>
    command('artifact', 'download', ...(version === undefined ? [] : ['--version', version]), ref, file),
  deleteArtifact: (ref: string) => command('artifact', 'delete', ref),
  deleteVersion: (ref: string, index: number) => command('artifact', 'delete-version', ref, index),
  maxVersions: (ref: string, max: number) => command('artifact', 'max-versions', ref, max),
  share: (ref: string) => command('artifact', 'share', ref),
  unshare: (ref: string) => command('artifact', 'unshare', ref),
  events: (ref: string) => command('artifact', 'events', ref),
  setMetadata: (ref: string, key: string, value: string) =>
    command('artifact', 'set-metadata', ref, key, value),
  deleteMetadata: (ref: string, key: string) => command('artifact', 'delete-metadata', ref, key),
  updateLabel: (label: string, target: string) => command('label', 'update', label, target),
  deleteLabel: (label: string) => command('label', 'delete', label),
  showBlob: (uuid: string) => command('blob', 'show', uuid),
  status: () => command('status'),
  createNamespace: (name: string) => command('namespace', 'create', name),
  deleteNamespace: (name: string) => command('namespace', 'delete', name),
  addKey: (namespace: string, name: string) => command('namespace', 'add-key', namespace, name),
  deleteKey: (namespace: string, name: string) => command('namespace', 'delete-key', namespace, name),
  addTrust: (namespace: string, other: string) => command('namespace', 'add-trust', namespace, other),
  removeTrust: (namespace: string, other: string) => command('namespace', 'remove-trust', namespace, other),
  jobs: () => command('admin', 'jobs'),
  runJob: (name: string) => command('admin', 'run', name),
  dryRun: () => command('admin', 'collect', '--dry-run'),
  explain: (blob: string) => command('admin', 'explain', blob),
  verify: (blob?: string) => command('admin', 'verify', blob ?? '--all'),
  usage: (days: number) => command('admin', 'usage', '--days', days),
  failures: () => command('admin', 'failures'),
  limits: (namespace: string, bytes?: string, artifacts?: string, uploads?: string) =>
    command(
      'namespace',
      'limits',
      namespace,
      ...(bytes ? ['--bytes', bytes] : []),
      ...(artifacts ? ['--artifacts', artifacts] : []),
      ...(uploads ? ['--uploads', uploads] : []),
    ),
  nodes: () => command('admin', 'nodes'),
  quarantine: () => command('admin', 'quarantine'),
} as const
