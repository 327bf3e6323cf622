/** The clock of a PostgreSQL database, moved: nodes that share the database tell the time by it. */
import { askPostgres } from './postgres.ts'

/**
 * Lets sessions that begin from now on find `clock_timestamp` in a schema of ours before PostgreSQL's own. Tables still go to
 * `public`, which comes first.
 */
export const installDatabaseClock = (url: string): Promise<unknown> =>
  askPostgres(
    url,
    `CREATE SCHEMA fake;
     CREATE TABLE fake.clock AS SELECT interval '0' AS ahead;
     CREATE FUNCTION fake.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
       AS 'SELECT pg_catalog.clock_timestamp() + ahead FROM fake.clock';
     ALTER DATABASE ${new URL(url).pathname.slice(1)} SET search_path = public, fake, pg_catalog`,
  )

/** Moves it on by so many ms, and answers its time, in seconds. */
export const moveDatabaseClock = async (url: string, ms: number): Promise<number> => {
  await askPostgres(url, `UPDATE fake.clock SET ahead = ahead + interval '${ms} milliseconds'`)
  const [row] = await askPostgres(url, 'SELECT extract(epoch FROM fake.clock_timestamp())::float8 AS now')
  return Number(row!.now)
}
