/** `holdfast namespace limits`. */
import { type Command, InvalidArgumentError } from 'commander'
import { action, define } from '../command.ts'
import { json } from '../output/json.ts'
import { limitsText } from '../output/namespace.ts'

/** `default` is what the settings of the server say. */
type Limit = number | 'default'

interface Wanted {
  readonly bytes?: Limit
  readonly artifacts?: Limit
  readonly uploads?: Limit
}

const units: Readonly<Record<string, number>> = {
  '': 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
  PiB: 1024 ** 5,
}

/** A limit as people write it: `none`, `default`, a number, and of bytes one with a unit. */
const limit =
  (known: Readonly<Record<string, number>>) =>
  (text: string): Limit => {
    if (text === 'default') return text
    if (text === 'none') return 0
    const [, figure = '', unit = ''] = /^(\d{1,15}(?:\.\d{1,3})?) ?(\w*)$/.exec(text) ?? []
    const value = Number(figure) * (known[unit] ?? Number.NaN)
    if (figure === '' || !Number.isSafeInteger(Math.round(value)) || (unit === '' && value % 1 !== 0))
      throw new InvalidArgumentError(
        `say a whole number${Object.keys(known).length > 1 ? ', one with a unit such as 500GiB' : ''}, none, or default`,
      )
    return Math.round(value)
  }

export const addNamespaceLimits = (namespace: Command): void => {
  define(namespace, 'limits <namespace>', {
    description:
      'Show what a namespace uses of what it may, or set its limits (only for the namespace system).',
    examples: ['namespace limits builds', 'namespace limits builds --bytes 500GiB --uploads none'],
    more: `A limit is a number, none, or default: what the server's settings say. Limits that are not named stay as high as
they are. What is stored already stays, even beyond a new limit.`,
  })
    .option('--bytes <limit>', 'of all artifacts and unfinished uploads together', limit(units))
    .option('--artifacts <limit>', 'number of artifacts', limit({ '': 1 }))
    .option('--uploads <limit>', 'number of unfinished uploads', limit({ '': 1 }))
    .action(
      action(async (context, name: string, wanted: Wanted) => {
        const client = await context.client()
        const params = { namespace: name }
        let usage = await client.call('showUsage', { params })
        if (Object.keys(wanted).length > 0) {
          const { limits } = usage
          const chosen = (limit: Limit | undefined, now: number) =>
            limit === 'default' ? null : (limit ?? now)
          const body = {
            max_bytes: chosen(wanted.bytes, limits.max_bytes),
            max_artifacts: chosen(wanted.artifacts, limits.max_artifacts),
            max_uploads: chosen(wanted.uploads, limits.max_uploads),
          }
          usage = await client.call('setLimits', { params, body })
        }
        context.print(context.shape === 'json' ? json(usage) : limitsText(usage, context.shape))
      }),
    )
}
