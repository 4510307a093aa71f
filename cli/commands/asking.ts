import type { Command } from 'commander';
import { Option } from 'commander';
import type { Cluster } from '../../kube/cluster.js';
import { TENANTS } from '../../kube/kinds.js';
import { Objects } from '../../kube/objects.js';
import type { TenantObject } from '../../operator/objects.js';
import { BadInput } from '../directory.js';
import { connect, kubeconfigOption } from './cluster.js';
import { outputOption, print } from './shared.js';

/** What commands have in common that people give about a cluster, with their own rights. */
export interface Asked {
  readonly kubeconfig?: string;
  readonly output: 'table' | 'json';
}

export function question(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .addOption(kubeconfigOption())
    .addOption(outputOption('-o, --output <form>'));
}

const SYSTEM_NAMESPACES: readonly string[] = ['deeprt-system'];

export const systemNamespaceOption = (): Option =>
  new Option('--system-namespace <name>', 'where operators and agents run; given twice where these are two')
    .argParser((name: string, before: readonly string[]) => [...(before === SYSTEM_NAMESPACES ? [] : before), name])
    .default(SYSTEM_NAMESPACES, SYSTEM_NAMESPACES.join());

/** Prints an answer as it is asked for. */
export function answer<T>({ output }: Asked, value: T, text: (value: T) => string): void {
  print(output === 'json' ? JSON.stringify(value, null, 2) : text(value));
}

export async function asking<T>({ kubeconfig }: Asked, ask: (cluster: Cluster) => Promise<T>): Promise<T> {
  const cluster = connect(kubeconfig, 'deeprt-cli');
  try {
    return await ask(cluster);
  } finally {
    await cluster.close();
  }
}

/** `NAMESPACE/NAME`, or a name in the namespace that was given or is current. */
export function placeOf(
  text: string,
  namespace: string | undefined,
  cluster: Cluster,
): { namespace: string; name: string } {
  const [own, name] = text.includes('/') ? (text.split('/', 2) as [string, string]) : [undefined, text];
  return { namespace: own ?? namespace ?? cluster.namespace ?? 'default', name };
}

export async function tenantAt(
  cluster: Cluster,
  { namespace, name }: { namespace: string; name: string },
): Promise<TenantObject> {
  if (name === '' || namespace === '') throw new BadInput('name a tenant, as NAME or NAMESPACE/NAME');
  const found = await new Objects<TenantObject>(cluster, TENANTS).get(name, namespace);
  if (found === undefined)
    throw new BadInput(`there is no InferenceTenant ${namespace}/${name}; kubectl get itn -A lists them`);
  return found;
}
