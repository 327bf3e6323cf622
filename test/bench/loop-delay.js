/**
 * Loaded into a server that is measured: tells, when asked over the process's channel, for how long its event loop took
 * up nothing new, and begins anew. A timer of 1 ms is the probe; what Node reports includes that millisecond.
 *
 * JavaScript, because Node's type stripper would stay in the server's memory, which is measured too.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isMainThread } from 'node:worker_threads'

const resolution = 1

if (isMainThread && process.send) {
  const histogram = monitorEventLoopDelay({ resolution })
  histogram.enable()
  // Whoever measures is gone, and nobody else would end this server.
  process.on('disconnect', () => process.exit())
  // What is asked is `{ loopDelay }`; the answer is the same with the time in ms.
  process.on('message', (message) => {
    if (!('loopDelay' in message)) return
    const delay = Math.max(0, histogram.percentile(99) / 1e6 - resolution)
    histogram.reset()
    process.send({ loopDelay: delay })
  })
}
