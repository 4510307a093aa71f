import { withTransition } from '../api/conditions.js';
import { namespaceOf } from '../api/names.js';
import type { ModelObject, ProfileObject } from './objects.js';

export type ModelStatus = NonNullable<ModelObject['status']>;

/**
 * On which nodes a model can be served, or why not, as their agents' profiles say. One of a node's devices suffices.
 *
 * @param users keys of the tenants that it serves
 */
export function modelStatus(
  model: ModelObject,
  profiles: readonly ProfileObject[],
  previous: ModelStatus | undefined,
  now: string,
  users: readonly string[] = [],
): ModelStatus {
  const nodes = new Map<string, { name: string; ready: boolean; message?: string }>();
  for (const { spec, status } of profiles) {
    const reported = status?.models?.find(
      ({ name, sha256 }) => name === model.metadata.name && (sha256 === undefined || sha256 === model.spec.sha256),
    );
    if (reported === undefined) continue;
    const known = nodes.get(spec.nodeName);
    if (known?.ready === true) continue;
    nodes.set(spec.nodeName, {
      name: spec.nodeName,
      ready: reported.ready,
      ...(reported.message === undefined || reported.message === '' ? {} : { message: reported.message }),
    });
  }
  const all = [...nodes.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const ready = all.filter((node) => node.ready);
  const failed = all.find((node) => !node.ready);
  const [status, reason, message]: [Status, string, string] =
    ready.length > 0
      ? ['True', 'Loaded', `loaded and profiled on ${ready.length} of ${all.length} nodes`]
      : failed !== undefined
        ? ['False', 'LoadFailed', `${failed.name}: ${failed.message ?? 'not loaded'}`]
        : ['Unknown', 'AgentsPending', 'no agent has reported on this model yet'];
  const generation = model.metadata.generation ?? 0;
  const condition = (type: string, value: Status, why: string, text: string): Condition => {
    const said = { type, status: value, reason: why, message: text, observedGeneration: generation };
    return withTransition(said, previous?.conditions, now);
  };
  const leaving = model.metadata.deletionTimestamp !== undefined && users.length > 0;
  return {
    observedGeneration: generation,
    readyNodes: joined(ready.map(({ name }) => name)),
    nodes: all,
    conditions: [
      condition('Available', status, reason, message),
      ...(leaving ? [condition('Terminating', 'True', 'InUse', inUse(users))] : []),
    ],
  };
}

/** For a column of a table. */
const joined = (names: readonly string[]): string =>
  names.length <= MOST_NAMES
    ? names.join(',')
    : `${names.slice(0, MOST_NAMES).join(',')},+${names.length - MOST_NAMES}`;
const MOST_NAMES = 8;

/** Who uses it, without naming anybody's objects to everybody. */
function inUse(users: readonly string[]): string {
  const namespaces = [...new Set(users.map(namespaceOf))].sort();
  return `deleted, but ${users.length} ${users.length === 1 ? 'tenant is' : 'tenants are'} served with it in ${namespaces.join(', ')}; it goes when they have gone or use another one, and takes no new ones`;
}

type Condition = NonNullable<ModelStatus['conditions']>[number];
type Status = 'True' | 'False' | 'Unknown';
