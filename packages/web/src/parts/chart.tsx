/** Lines over time. The drawing is for eyes; the same figures stand in a table below it. */
import { useEffect, useRef, useState } from 'preact/hooks'
import type uPlot from 'uplot'
import { moment, momentsBy, size } from '../format.ts'
import { Table } from './table.tsx'

export interface Series {
  readonly name: string
  /** A property of the page's style with the line's colour: `--chart-1`. */
  readonly colour: string
  /** Dashed lines can be told from others without their colour. */
  readonly isDashed?: boolean
  /** Bytes, one for each time. */
  readonly values: readonly number[]
}

interface ChartProps {
  /** What is shown, in one sentence: what a screen reader says in place of the drawing. */
  readonly summary: string
  /** Seconds since 1970, rising. */
  readonly times: readonly number[]
  readonly series: readonly Series[]
}

const height = 220
/** Rows of the table: of more times every so manieth is shown, and the last. */
const shownRows = 25

const styleOf = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name)

const optionsOf = (series: readonly Series[], width: number): uPlot.Options => {
  const axis = {
    stroke: () => styleOf('--pico-muted-color'),
    grid: { stroke: () => styleOf('--pico-muted-border-color'), width: 1 },
    ticks: { show: false },
  }
  return {
    width,
    height,
    series: [
      { label: 'Time', value: (chart, at) => moment(at ?? chart.data[0].at(-1)!) },
      ...series.map(({ name, colour, isDashed }) => ({
        label: name,
        stroke: () => styleOf(colour),
        width: 2,
        ...(isDashed && { dash: [6, 4] }),
        points: { show: false },
        // Where the pointer is; otherwise the newest
        value: (chart: uPlot, bytes: number | null, place: number) =>
          size(bytes ?? chart.data[place]?.at(-1) ?? 0),
      })),
    ],
    // Lines that hardly change should look so
    scales: { y: { range: (_chart, _least, most) => [0, Math.max(1, most * 1.1)] } },
    axes: [
      { ...axis, values: (_chart, splits, _axis, _space, step) => momentsBy(splits, step) },
      { ...axis, size: 80, values: (_chart, splits) => splits.map(size), incrs: byteSteps },
    ],
  }
}

/** Distances between the lines of the axis that are round in binary units. */
const byteSteps: number[] = Array.from({ length: 50 }, (_, power) => 2 ** power)

export const Chart = ({ summary, times, series }: ChartProps) => {
  const place = useRef<HTMLDivElement>(null)
  const chart = useRef<uPlot>()
  const [isReady, setReady] = useState(false)
  const data = [times, ...series.map(({ values }) => values)] as unknown as uPlot.AlignedData
  const latest = useRef(data)
  latest.current = data

  useEffect(() => {
    const parent = place.current!
    let isGone = false
    const observer = new ResizeObserver(() => chart.current?.setSize({ width: parent.clientWidth, height }))
    const scheme = matchMedia('(prefers-color-scheme: dark)')
    const redraw = () => chart.current?.redraw()
    // Not part of the first view: loaded when there is something to draw
    void Promise.all([import('uplot'), import('uplot/dist/uPlot.min.css')]).then(([{ default: Plot }]) => {
      if (isGone) return
      chart.current = new Plot(optionsOf(series, parent.clientWidth), latest.current, parent)
      observer.observe(parent)
      scheme.addEventListener('change', redraw)
      setReady(true)
    })
    return () => {
      isGone = true
      observer.disconnect()
      scheme.removeEventListener('change', redraw)
      chart.current?.destroy()
      chart.current = undefined
    }
  }, [])
  useEffect(() => chart.current?.setData(data), [times, isReady])

  const step = Math.ceil(times.length / shownRows)
  const rows = times
    .map((at, place) => ({ at, place }))
    .reverse()
    .filter((_, place) => place % step === 0)
  return (
    <figure class="chart">
      <div ref={place} role="img" aria-label={summary} />
      <figcaption>{summary}</figcaption>
      <details>
        <summary>The figures as a table</summary>
        <Table
          label={summary}
          columns={['Time', ...series.map(({ name }) => `#${name}`)]}
          none=""
          rows={rows.map(({ at, place }) => ({
            key: String(at),
            cells: [moment(at), ...series.map(({ values }) => size(values[place]!))],
          }))}
        />
      </details>
    </figure>
  )
}
