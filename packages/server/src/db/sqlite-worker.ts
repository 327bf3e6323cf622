/**
 * The thread that writes. It owns the one writing connection, and waits for the disk at every commit so that the
 * main thread need not. It answers requests one by one, in the order they come.
 */
import { parentPort } from 'node:worker_threads'
import {
  describeFailure,
  SqliteConnection,
  type SqliteFailure,
  type StatementResult,
} from './sqlite-connection.ts'

export type WriterTask =
  | { readonly kind: 'open'; readonly path: string }
  | { readonly kind: 'begin' | 'commit' | 'rollback' | 'close' }
  | { readonly kind: 'run'; readonly sql: string; readonly parameters: readonly unknown[] }

export type WriterRequest = WriterTask & { readonly id: number }

export interface WriterReply {
  readonly id: number
  readonly result?: StatementResult
  readonly failure?: SqliteFailure
}

const port = parentPort!
let connection: SqliteConnection | undefined

port.on('message', (request: WriterRequest) => {
  const { id } = request
  try {
    port.postMessage({ id, result: perform(request) } satisfies WriterReply)
  } catch (error) {
    port.postMessage({ id, failure: describeFailure(error) } satisfies WriterReply)
  }
})

function perform(task: WriterTask): StatementResult {
  if (task.kind === 'open') {
    connection = SqliteConnection.openWriter(task.path)
    return { rows: [] }
  }
  if (connection === undefined) throw new Error('the database is not open')
  switch (task.kind) {
    case 'begin':
      connection.begin()
      break
    case 'run':
      // Outside a transaction each statement would commit by itself.
      if (!connection.isInTransaction) throw new Error('the transaction has ended')
      return connection.run(task.sql, task.parameters)
    case 'commit':
      connection.commit()
      break
    case 'rollback':
      connection.rollback()
      break
    case 'close':
      connection.optimize()
      connection.checkpoint()
      connection.close()
      connection = undefined
      break
  }
  return { rows: [] }
}
