/**
 * A network of its own for every node of the nodes suite: namespaces of the kernel, joined by a bridge. The suite runs in a
 * namespace itself, with the bridge, so that nothing of it is left when it ends, however it ends, and nothing can get out.
 *
 * Needs root, and `ip` and `bridge` (iproute2).
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { endsWithUs } from '../support/ends-with-us.ts'

const run = promisify(execFile)
const insideMark = 'FAULTS_IN_NAMESPACE'
const prefix = '10.99.0'

/** Where the suite is, and the services that have not an address of their own. */
export const hub = `${prefix}.1`
/** Addresses of the services: apart, so that a node can be cut off from one of them. */
export const services = { database: `${prefix}.2`, blobs: `${prefix}.3` } as const
export type Service = keyof typeof services
/** Of the first node; the others follow. */
export const nodeAddress = (at: number): string => `${prefix}.${11 + at}`

/** Runs this program again in a network namespace, unless that is where it is, and ends as that did. */
export const enterNamespace = async (): Promise<void> => {
  if (process.env[insideMark]) return
  const child = spawn('unshare', ['--net', process.execPath, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, [insideMark]: '1' },
  })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => child.kill(signal))
  const [code] = (await once(child, 'exit')) as [number | null]
  process.exit(code ?? 1)
}

export class NodeNetwork {
  readonly #holders: ChildProcess[]

  private constructor(holders: ChildProcess[]) {
    this.#holders = holders
  }

  /** Makes the bridge and namespaces for so many nodes. */
  static async create(count: number): Promise<NodeNetwork> {
    await ip('link set lo up')
    await ip('link add hub type bridge')
    for (const address of [hub, ...Object.values(services)]) await ip(`address add ${address}/24 dev hub`)
    await ip('link set hub up')
    const holders: ChildProcess[] = []
    for (let at = 0; at < count; at += 1) {
      // A namespace lives as long as a process in it.
      const holder = spawn('unshare', ['--net', 'cat'], { stdio: ['pipe', 'pipe', 'inherit'] })
      endsWithUs(holder)
      holder.stdin.write('\n')
      await once(holder.stdout, 'data')
      holders.push(holder)
      await ip(`link add node${at} type veth peer name eth0 netns ${holder.pid}`)
      await ip(`link set node${at} master hub up`)
      for (const words of [
        'link set lo up',
        `address add ${nodeAddress(at)}/24 dev eth0`,
        'link set eth0 up',
      ])
        await run('nsenter', ['--net', '--target', `${holder.pid}`, 'ip', ...words.split(' ')])
    }
    return new NodeNetwork(holders)
  }

  /** What a command has to begin with, to run in the namespace of a node. */
  within(at: number): string[] {
    return ['nsenter', '--net', '--target', `${this.#holders[at]!.pid}`]
  }

  /** Cuts a node off from everything, or joins it again. */
  async setCut(at: number, isCut: boolean): Promise<void> {
    await ip(`link set node${at} ${isCut ? 'down' : 'up'}`)
  }

  /** Keeps the nodes from reaching each other, or not; they reach everything else. */
  async setApart(isApart: boolean): Promise<void> {
    for (const at of this.#holders.keys())
      await run('bridge', ['link', 'set', 'dev', `node${at}`, 'isolated', isApart ? 'on' : 'off'])
  }

  /** Takes a service away from one node, or gives it back. */
  async setWithout(at: number, service: Service, isWithout: boolean): Promise<void> {
    const [command, ...words] = this.within(at)
    const change = isWithout ? 'add' : 'del'
    await run(command!, [...words, 'ip', 'route', change, 'blackhole', `${services[service]}/32`])
  }

  /** The namespaces end with the processes in them. */
  close(): void {
    for (const holder of this.#holders) holder.kill('SIGKILL')
  }
}

const ip = (words: string): Promise<unknown> => run('ip', words.split(' '))
