/** The command line's word for everything the page does. */

/** An argument as a POSIX shell takes it. */
const quote = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`

const command = (...words: (string | number | undefined)[]): string =>
  [
    'holdfast',
    ...words.filter((word) => word !== undefined && word !== '').map((word) => quote(String(word))),
  ].join(' ')

export const commands = {
  login: (url: string, namespace: string) => command('login', url, '--namespace', namespace || 'NAMESPACE'),
  listArtifacts: () => command('artifact', 'list'),
  showArtifact: (ref: string) => command('artifact', 'show', ref),
  upload: (name: string, file: string, shared = false) =>
    command('artifact', 'upload', ...(shared ? ['--shared'] : []), name, file),
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
  quarantine: () => command('admin', 'quarantine'),
} as const
