import type { ModelObject, ProfileObject } from './view.js';

export type ModelStatus = NonNullable<ModelObject['status']>;

/** On which nodes a model can be served, or why not, as their agents' profiles say. One of a node's devices suffices. */
export function modelStatus(
  model: ModelObject,
  profiles: readonly ProfileObject[],
  previous: ModelStatus | undefined,
  now: string,
): ModelStatus {
  const nodes = new Map<string, { name: string; ready: boolean; message?: string }>();
  for (const { spec, status } of profiles) {
    const told = status?.models?.find(
      ({ name, sha256 }) => name === model.metadata.name && (sha256 === undefined || sha256 === model.spec.sha256),
    );
    if (told === undefined) continue;
    const known = nodes.get(spec.nodeName);
    if (known?.ready === true) continue;
    nodes.set(spec.nodeName, {
      name: spec.nodeName,
      ready: told.ready,
      ...(told.message === undefined || told.message === '' ? {} : { message: told.message }),
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
  const old = previous?.conditions?.find(({ type }) => type === 'Available');
  const generation = model.metadata.generation ?? 0;
  return {
    observedGeneration: generation,
    nodes: all,
    conditions: [
      {
        type: 'Available',
        status,
        reason,
        message,
        observedGeneration: generation,
        lastTransitionTime: old?.status === status ? old.lastTransitionTime : now,
      },
    ],
  };
}

type Status = 'True' | 'False' | 'Unknown';
