import { join } from 'node:path';
import { stringify } from 'yaml';
import { API_VERSION } from '../../api/crds.js';
import type { ResourceOf } from '../../api/manifests.js';
import { parseManifests } from '../../api/manifests.js';
import { keep, kept } from '../disk/kept-file.js';

/** What an agent needs to go on serving without its control plane, also across a restart. */
export interface NodeState {
  readonly models: readonly ResourceOf<'InferenceModel'>[];
  readonly schedule: ResourceOf<'NodeSchedule'> | undefined;
}

const fileOf = (stateDir: string, node: string): string => join(stateDir, 'nodes', `${node}.yaml`);

/**
 * The state stored last; empty when there is none.
 *
 * @throws Damaged when it is not what was stored
 */
export async function readState(stateDir: string, node: string): Promise<NodeState> {
  const file = fileOf(stateDir, node);
  const text = await kept(file);
  if (text === undefined) return { models: [], schedule: undefined };
  const resources = parseManifests(file, text).manifests.map(({ resource }) => resource);
  return {
    models: resources.filter((resource) => resource.kind === 'InferenceModel'),
    schedule: resources.find((resource) => resource.kind === 'NodeSchedule'),
  };
}

/** Stores the state; a crash leaves the old one or the new one. */
export async function writeState(stateDir: string, node: string, { models, schedule }: NodeState): Promise<void> {
  const file = fileOf(stateDir, node);
  const objects = [...models, ...(schedule === undefined ? [] : [schedule])].map(({ kind, metadata, spec }) => ({
    apiVersion: API_VERSION,
    kind,
    metadata: { name: metadata.name },
    spec,
  }));
  await keep(file, objects.map((object) => stringify(object, { aliasDuplicateObjects: false })).join('---\n'));
}
