import type { ComponentChildren } from 'preact'

/** Figures side by side, each under its name. */
export const Tiles = ({ of }: { of: Readonly<Record<string, ComponentChildren>> }) => (
  <dl class="tiles">
    {Object.entries(of).map(([name, value]) => (
      <div key={name}>
        <dt>{name}</dt>
        <dd>{value}</dd>
      </div>
    ))}
  </dl>
)
