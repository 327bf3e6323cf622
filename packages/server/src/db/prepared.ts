/**
 * Queries that are made once and run many times. To make and compile one with Kysely takes longer than SQLite takes to
 * run it; what is asked at every request is therefore kept as text, in which only the values change.
 */
import type { CompiledQuery, DialectAdapter } from 'kysely'
import type { Sql } from './database.ts'
import { SyncAdapter } from './sqlite-sync-driver.ts'

type Scalar = string | number | null
/** What a query is asked with. A list is compared with `in`; what is to stand in the text has to be `fixed`. */
export type QueryValues = Readonly<Record<string, Scalar | readonly Scalar[]>>

/** A value on which the query's text depends, not only what it finds. */
class Fixed {
  readonly value: string

  constructor(value: string) {
    this.value = value
  }
}

/** Marks a value on which the query's text depends: the maker of the query sees it as it is. */
export const fixed = <T extends string>(value: T): T => new Fixed(value) as unknown as T

/** Stands in a query for a value. */
class Placeholder {
  readonly name: string
  readonly at: number | undefined

  constructor(name: string, at?: number) {
    this.name = name
    this.at = at
  }
}

/** Lists of many lengths make many texts: what is beyond is made each time. */
const maxForms = 64

/**
 * Makes a function that runs the query of `make` and resolves with its rows. `make` is called once for each database and
 * each form of the values: the lengths of lists and what is `fixed`. It may hand
 * the values on to Kysely and do nothing else with them: in the place of most there are placeholders.
 */
export const prepared = <V extends QueryValues, R>(
  make: (sql: Sql, values: V) => { compile(): CompiledQuery<R> },
): ((sql: Sql, values: V) => Promise<R[]>) => {
  const byDatabase = new WeakMap<DialectAdapter, Map<string, CompiledQuery<R>>>()
  return async (sql, values) => {
    const { adapter, plugins } = sql.getExecutor()
    // Plugins change what is made; each of them another way.
    if (plugins.length > 0) return (await sql.executeQuery<R>(make(sql, withoutMarks(values)).compile())).rows
    let forms = byDatabase.get(adapter)
    if (!forms) {
      forms = new Map()
      byDatabase.set(adapter, forms)
    }
    const form = formOf(values)
    let query = forms.get(form)
    if (!query) {
      query = make(sql, placeholdersFor(values)).compile()
      if (forms.size < maxForms) forms.set(form, query)
    }
    const parameters = query.parameters.map((parameter) =>
      parameter instanceof Placeholder ? valueFor(values, parameter) : parameter,
    )
    if (adapter instanceof SyncAdapter) return adapter.rowsOf(query.sql, parameters) as R[]
    return (await sql.executeQuery<R>({ ...query, parameters })).rows
  }
}

const formOf = (values: QueryValues): string => {
  let form = ''
  for (const name in values) {
    const value: unknown = values[name]
    if (Array.isArray(value)) form += `${value.length},`
    else form += value instanceof Fixed ? `${value.value},` : ','
  }
  return form
}

const placeholdersFor = <V extends QueryValues>(values: V): V =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]: [string, unknown]) => {
      if (Array.isArray(value)) return [name, value.map((_, at) => new Placeholder(name, at))]
      return [name, value instanceof Fixed ? value.value : new Placeholder(name)]
    }),
  ) as unknown as V

const withoutMarks = <V extends QueryValues>(values: V): V =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]: [string, unknown]) => [
      name,
      value instanceof Fixed ? value.value : value,
    ]),
  ) as unknown as V

const valueFor = (values: QueryValues, { name, at }: Placeholder): unknown => {
  const value = values[name]
  return at === undefined ? value : (value as readonly Scalar[])[at]
}
