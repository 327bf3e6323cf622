/**
 * The numbers a server counts, for Prometheus. Names follow its conventions: base units, `_total` for counters.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/**
 * Makes the metrics of one server; each has a registry of its own, so that tests can run several. Those of the whole
 * process (`addProcessMetrics`) are not among them.
 */
export const createMetrics = () => {
  const registry = new Registry()
  const registers = [registry]
  return {
    registry,
    requestSeconds: new Histogram({
      name: 'holdfast_request_seconds',
      help: 'Time from the first byte of a request to the last of its reply, in seconds',
      labelNames: ['route', 'status'] as const,
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600],
      registers,
    }),
    requestsInFlight: new Gauge({
      name: 'holdfast_requests_in_flight',
      help: 'Requests being worked on, health checks not counted',
      registers,
    }),
    connections: new Gauge({ name: 'holdfast_connections', help: 'Open connections', registers }),
    droppedConnections: new Counter({
      name: 'holdfast_dropped_connections_total',
      help: 'Connections closed unheard because there were too many',
      registers,
    }),
    freeBytes: new Gauge({
      name: 'holdfast_free_bytes',
      help: 'Free bytes on the filesystem of the data directory',
      registers,
    }),
    receivedBytes: new Counter({
      name: 'holdfast_received_bytes_total',
      help: 'Bytes of uploads received',
      registers,
    }),
    sentBytes: new Counter({ name: 'holdfast_sent_bytes_total', help: 'Bytes of blobs sent', registers }),
    offloadedDownloads: new Counter({
      name: 'holdfast_offloaded_downloads_total',
      help: 'Downloads whose bytes were left to nginx; they are not among the bytes sent',
      registers,
    }),
    conversions: new Counter({
      name: 'holdfast_conversions_total',
      help: 'Versions made, by whether the bytes were new',
      labelNames: ['bytes'] as const,
      registers,
    }),
    jobSeconds: new Histogram({
      name: 'holdfast_job_seconds',
      help: 'Duration of a run of a housekeeping job, in seconds',
      labelNames: ['job', 'outcome'] as const,
      buckets: [0.001, 0.01, 0.1, 1, 10, 100, 1000],
      registers,
    }),
    removedUploads: new Counter({
      name: 'holdfast_expired_uploads_total',
      help: 'Uploads removed for being idle',
      registers,
    }),
    collectedBlobs: new Counter({
      name: 'holdfast_collected_blobs_total',
      help: 'Blobs removed that nothing referred to',
      registers,
    }),
    damagedBlobs: new Gauge({ name: 'holdfast_damaged_blobs', help: 'Blobs in quarantine', registers }),
    verifiedBytes: new Counter({
      name: 'holdfast_verified_bytes_total',
      help: 'Bytes of blobs read again and compared with their digest',
      registers,
    }),
    oldestVerification: new Gauge({
      name: 'holdfast_oldest_verification_timestamp_seconds',
      help: 'When the blob that has waited longest was verified; 0 while there is none',
      registers,
    }),
    backups: new Counter({
      name: 'holdfast_backups_total',
      help: 'Backups, by outcome',
      labelNames: ['outcome'] as const,
      registers,
    }),
    lastBackup: new Gauge({
      name: 'holdfast_last_backup_timestamp_seconds',
      help: 'When the newest finished backup was begun; 0 while there is none',
      registers,
    }),
    certificateExpiry: new Gauge({
      name: 'holdfast_certificate_expiry_timestamp_seconds',
      help: 'When the TLS certificate in use expires; 0 when the server has none',
      registers,
    }),
    nodes: new Gauge({
      name: 'holdfast_nodes',
      help: 'Nodes of this store as this one sees them, by state: up, stopping, silent, gone',
      labelNames: ['state'] as const,
      registers,
    }),
    passedOn: new Counter({
      name: 'holdfast_passed_on_total',
      help: 'Requests passed on to the node that holds their upload, by outcome: answered, failed, gone',
      labelNames: ['outcome'] as const,
      registers,
    }),
    fetches: new Counter({
      name: 'holdfast_fetches_total',
      help: 'Fetches from URLs, by outcome',
      labelNames: ['outcome'] as const,
      registers,
    }),
  }
}

/** Adds what the process uses: memory, CPU, delays of the event loop. It observes from then on for ever: once a process. */
export const addProcessMetrics = ({ registry }: Metrics): void =>
  collectDefaultMetrics({ register: registry })

export type Metrics = ReturnType<typeof createMetrics>
