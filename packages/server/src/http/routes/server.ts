/**
 * Routes about the server itself, and the two that only make `sf-client namespace clean` content.
 */
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { HoldfastError } from '@holdfast/api/errors'
import { sql } from 'kysely'
import type { Parts } from '../../parts.ts'
import type { Handlers } from '../handlers.ts'

const checkParts = async ({ config, db }: Parts): Promise<void> => {
  await sql`select 1`.execute(db.read)
  await access(config.dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
}

/** Makes the handlers; `isLeaving` tells whether the server is going down, or will in a moment. */
export const serverHandlers = (isLeaving: () => boolean) =>
  ({
    showHealth: async () => ({ status: 'ok' }),

    showReadiness: async (parts) => {
      if (isLeaving()) throw new HoldfastError('unavailable', { message: 'the server is stopping' })
      await checkParts(parts).catch((cause: unknown) => {
        throw new HoldfastError('unavailable', { message: 'the server is not ready', cause })
      })
      return { status: 'ready' }
    },

    deleteInstances: async () => [],
    deleteNetworks: async () => [],
  }) satisfies Pick<Handlers, 'showHealth' | 'showReadiness' | 'deleteInstances' | 'deleteNetworks'>
