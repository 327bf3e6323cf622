/** Figures that a server tells for itself; of several nodes, each tells its own. */
import { send } from './api.ts'
import type { RunningServer } from './server.ts'

/** The value of a metric without labels, of every node. */
export const readMetric = ({ url, nodes = [] }: RunningServer, name: string): Promise<number[]> =>
  Promise.all(
    (nodes.length > 0 ? nodes.map((node) => node.url) : [url]).map(async (base) => {
      const { bytes } = await send(base, 'GET', '/metrics')
      return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(bytes.toString())![1])
    }),
  )
