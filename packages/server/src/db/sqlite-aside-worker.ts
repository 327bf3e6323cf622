/** Runs one query over many rows in a thread that lives for this one task. See `Database.readAside`. */
import { parentPort, workerData } from 'node:worker_threads'
import { SqliteConnection } from './sqlite-connection.ts'

const { path, sql, parameters } = workerData as { path: string; sql: string; parameters: readonly unknown[] }

const connection = SqliteConnection.openReader(path)
try {
  parentPort!.postMessage(connection.run(sql, parameters).rows)
} finally {
  connection.close()
}
