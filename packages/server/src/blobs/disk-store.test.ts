import { describeBlobStore } from './blob-store.suite.ts'
import { openDiskStore } from './disk-store.ts'

describeBlobStore('disk', (directory) => openDiskStore(directory))
