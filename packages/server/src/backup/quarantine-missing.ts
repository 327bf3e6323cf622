import type { Transaction } from 'kysely'
import type { Schema } from '../db/schema.ts'
import { type NewEvent, recordEvents } from '../domain/events.ts'
import { quarantineMessage } from '../domain/quarantine.ts'
import type { Parts } from '../parts.ts'
import type { DamagedBlob } from './format.ts'

/** Puts blobs in quarantine of which no good bytes were brought here; `where` they were not good goes into their history. */
export const quarantineMissing = async (
  trx: Transaction<Schema>,
  parts: Pick<Parts, 'clock' | 'config'>,
  damaged: readonly DamagedBlob[],
  where: string,
): Promise<void> => {
  for (const { uuid } of damaged)
    await trx
      .updateTable('blobs')
      .set({ state: 'quarantined', verified_at: parts.clock.now() })
      .where('uuid', '=', uuid)
      .where('state', '=', 'created')
      .execute()
  await recordEvents(
    trx,
    parts,
    damaged.map(
      ({ uuid, reason }): NewEvent => ({
        objectType: 'blob',
        objectUuid: uuid,
        namespace: '',
        type: 'status',
        message: quarantineMessage,
        extra: { reason: `${where} ${reason}` },
      }),
    ),
  )
}
