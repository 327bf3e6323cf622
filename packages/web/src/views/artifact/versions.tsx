import type { ArtifactView, VersionView } from '@holdfast/client/browser'
import { commands } from '../../commands.ts'
import { download } from '../../downloads/download.ts'
import { CommandButton, Digest } from '../../parts/copy-button.tsx'
import { Ago, Badge, Size } from '../../parts/facts.tsx'

interface VersionsProps {
  readonly artifact: ArtifactView
  /** The newest first. */
  readonly versions: readonly VersionView[]
  readonly onChange: () => void
}

export const Versions = ({ artifact, versions }: VersionsProps) => (
  <section aria-labelledby="versions">
    <h2 id="versions">Versions</h2>
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Version</th>
            <th scope="col" class="figure">
              Size
            </th>
            <th scope="col">Added</th>
            <th scope="col">SHA-512</th>
            <th scope="col">
              <span class="unseen">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {versions.map((version) => (
            <tr key={version.index}>
              <th scope="row">
                {version.index} {version.state === 'quarantined' && <Badge>damaged</Badge>}
              </th>
              <td class="figure">
                <Size bytes={version.size} />
              </td>
              <td>
                <Ago at={artifact.blobs[String(version.index)]?.created_at ?? version.fetched_at} />
              </td>
              <td>
                <Digest value={version.sha512} name={`SHA-512 of version ${version.index}`} />
              </td>
              <td class="actions">
                <button
                  type="button"
                  class="small"
                  aria-label={`Download version ${version.index}`}
                  onClick={() =>
                    download({ artifact: artifact.uuid, version: version.index }, artifact.name, version.size)
                  }
                >
                  Download
                </button>
                <CommandButton text={commands.download(artifact.uuid, artifact.name, version.index)} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  </section>
)
