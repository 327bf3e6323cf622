import { isUploadRecord, type StateStore } from '../uploads/state.ts'

const prefix = 'holdfast.upload.'

const parse = (text: string | null) => {
  try {
    const record: unknown = JSON.parse(text ?? 'null')
    return isUploadRecord(record) ? record : undefined
  } catch {
    return undefined
  }
}

/**
 * Keeps records in `localStorage`: they are small, and every tab of a page sees them at once. Where storage is forbidden
 * every method rejects, and uploads merely cannot be continued.
 */
export const storageStateStore = (storage?: Storage): StateStore => {
  const store = () => storage ?? globalThis.localStorage
  return {
    async get(key) {
      return parse(store().getItem(prefix + key))
    },
    async set(key, record) {
      store().setItem(prefix + key, JSON.stringify(record))
    },
    async delete(key) {
      store().removeItem(prefix + key)
    },
    async list() {
      return Object.entries({ ...store() })
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, text]) => ({ key: name.slice(prefix.length), record: parse(String(text)) }))
        .filter(
          (entry): entry is typeof entry & { record: NonNullable<typeof entry.record> } => !!entry.record,
        )
        .sort((a, b) => a.record.createdAt - b.record.createdAt)
    },
  }
}
