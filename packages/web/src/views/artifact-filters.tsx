import { useLoad } from '../load.ts'
import { useSession } from '../session.ts'

interface FiltersProps {
  readonly values: Readonly<Record<string, string>>
  /** What is typed, before it is asked for. */
  readonly name: string
  readonly onName: (name: string) => void
  readonly onChange: (changed: Record<string, string>) => void
}

const types = ['image', 'snapshot', 'label', 'other']
const states = ['created', 'initial', 'error']
const orders: Readonly<Record<string, string>> = {
  '-created_at': 'newest first',
  created_at: 'oldest first',
  name: 'by name',
  '-name': 'by name, backwards',
  '-size': 'largest first',
  '-updated_at': 'last changed first',
}

/** The newest first; whoever types a name expects names in order, and the server finds them at once in that order. */
export const defaultSort = ({ name }: Readonly<Record<string, string>>): string =>
  name ? 'name' : '-created_at'

const metadataText = (values: Readonly<Record<string, string>>): string => {
  const found = Object.entries(values).find(([name]) => name.startsWith('metadata.'))
  return found ? `${found[0].slice('metadata.'.length)}=${found[1]}` : ''
}

/** Takes the old condition away and sets the new one, if `key=value` was typed. */
const metadataChange = (values: Readonly<Record<string, string>>, text: string): Record<string, string> => {
  const [key = '', ...rest] = text.split('=')
  const cleared = Object.keys(values).filter((name) => name.startsWith('metadata.'))
  const value = rest.join('=').trim()
  return {
    ...Object.fromEntries(cleared.map((name) => [name, ''])),
    ...(key.trim() && value ? { [`metadata.${key.trim()}`]: value } : {}),
  }
}

interface ChoiceProps {
  readonly label: string
  readonly value: string | undefined
  readonly options: Readonly<Record<string, string>>
  readonly onChange: (value: string) => void
  readonly class?: string
}

const Choice = ({ label, value = '', options, onChange, class: style }: ChoiceProps) => (
  <label class={style}>
    {label}
    <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
      {Object.entries(options).map(([option, text]) => (
        <option key={option} value={option}>
          {text}
        </option>
      ))}
    </select>
  </label>
)

const withAll = (values: readonly string[]): Record<string, string> => ({
  '': 'all',
  ...Object.fromEntries(values.map((value) => [value, value])),
})

const shownLabels = 100

/** A label's name, with those that exist to choose from. */
const LabelChoice = ({
  value = '',
  onChange,
}: Pick<ChoiceProps, 'onChange'> & { value?: string | undefined }) => {
  const { client } = useSession()
  const labels = useLoad(
    (signal) => client.artifacts.list({ type: 'label', sort: 'name', limit: shownLabels }, { signal }),
    [],
  )
  return (
    <label>
      Label
      <input
        value={value}
        list="labels"
        onChange={(event) => onChange(event.currentTarget.value.trim())}
        placeholder="any"
        spellcheck={false}
      />
      <datalist id="labels">
        {[...new Set(labels.data?.map(({ name }) => name))].map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </label>
  )
}

export const Filters = ({ values, name, onName, onChange }: FiltersProps) => {
  const { client } = useSession()
  const namespaces = useLoad((signal) => client.namespaces.list({ signal }), [])
  const names = namespaces.data?.map((namespace) => namespace.name) ?? []
  return (
    <search class="filters">
      <label class="grow">
        Name begins with
        <input
          type="search"
          value={name}
          onInput={(event) => onName(event.currentTarget.value)}
          spellcheck={false}
        />
      </label>
      <Choice
        label="Type"
        value={values.type}
        options={withAll(types)}
        onChange={(type) => onChange({ type })}
      />
      <Choice
        label="State"
        value={values.state}
        options={withAll(states)}
        onChange={(state) => onChange({ state })}
      />
      {names.length > 1 && (
        <Choice
          label="Namespace"
          value={values.namespace}
          options={withAll(names)}
          onChange={(namespace) => onChange({ namespace })}
        />
      )}
      <LabelChoice value={values.label} onChange={(label) => onChange({ label })} />
      <label>
        Metadata
        <input
          value={metadataText(values)}
          onChange={(event) => onChange(metadataChange(values, event.currentTarget.value))}
          placeholder="key=value"
          spellcheck={false}
        />
      </label>
      <Choice
        class="order"
        label="Order"
        value={values.sort ?? defaultSort(values)}
        options={orders}
        onChange={(sort) => onChange({ sort })}
      />
    </search>
  )
}
