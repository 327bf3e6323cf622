/**
 * Loaded into a server under test before its own modules: the time of day jumps when the test says so, and timers
 * of minutes and more go by that time. Everything shorter stays real, so that sockets and stalls behave as ever.
 *
 * A jump ends when all that it has set off has come to rest, which is when as many long timers are set again as ever
 * were at once: each of the server's periodic jobs sets its next one when it has run.
 */
import { isMainThread } from 'node:worker_threads'

/** What a test asks: to pass so much time, in ms. The reply is the same message. */
export interface Jump {
  readonly jumpMs: number
  /** The steady counter jumps as well: nodes that share a database tell the time by that, and by the database's clock. */
  readonly isSteadyToo?: boolean
}

/** Shorter than any period a test gives to a job, longer than any patience of the server's. */
const longMs = 400_000
const restMs = 5
/** The first runs of the jobs come one after the other within this time. */
const calmMs = 1200

interface LongTimer {
  readonly dueAt: number
  readonly fire: () => void
}

const realNow = Date.now.bind(Date)
const realSetTimeout = globalThis.setTimeout
const realClearTimeout = globalThis.clearTimeout
const timers = new Map<object, LongTimer>()
let offsetMs = 0
let steadyOffsetMs = 0
let most = 0
let mostSince = realNow()

const setLongTimer = (fire: () => void, ms: number): object => {
  const timer = { ref: () => timer, unref: () => timer, hasRef: () => false }
  timers.set(timer, { dueAt: Date.now() + ms, fire })
  if (timers.size > most) {
    most = timers.size
    mostSince = realNow()
  }
  return timer
}

const pause = (): Promise<void> => new Promise((resolve) => void realSetTimeout(resolve, restMs))

const rest = async (): Promise<void> => {
  while (most === 0 || timers.size < most || realNow() - mostSince < calmMs) await pause()
}

const jump = async ({ jumpMs: ms, isSteadyToo }: Jump): Promise<void> => {
  if (isSteadyToo) {
    steadyOffsetMs += ms
    offsetMs += ms
    return
  }
  await rest()
  offsetMs += ms
  const due = [...timers].filter(([, { dueAt }]) => dueAt <= Date.now())
  for (const [timer] of due) timers.delete(timer)
  for (const [, { fire }] of due) fire()
  await rest()
}

if (isMainThread) {
  Date.now = () => realNow() + offsetMs
  const realSteady = performance.now.bind(performance)
  performance.now = () => realSteady() + steadyOffsetMs
  globalThis.setTimeout = ((callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
    ms >= longMs
      ? setLongTimer(() => callback(...args), ms)
      : realSetTimeout(callback, ms, ...args)) as typeof setTimeout
  globalThis.clearTimeout = ((timer: object | undefined) => {
    if (!timer || !timers.delete(timer)) realClearTimeout(timer as NodeJS.Timeout | undefined)
  }) as typeof clearTimeout
  process.on('message', (message: Jump) => void jump(message).then(() => process.send!(message)))
  // The test has ended without stopping its server.
  process.on('disconnect', () => process.exit())
  process.channel?.unref()
}
