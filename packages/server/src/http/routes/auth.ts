/**
 * Logging in.
 */
import { authenticate } from '../../domain/keys.ts'
import type { Handlers } from '../handlers.ts'

export const authHandlers = {
  authenticate: async (parts, { body, address }) => ({
    access_token: await authenticate(parts, body, address),
    token_type: 'Bearer',
    expires_in: Math.round(parts.config.tokenLifetime),
  }),
} satisfies Pick<Handlers, 'authenticate'>
