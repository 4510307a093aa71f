import { stringify } from 'yaml';
import type { ResourceOf } from '../../api/manifests.js';
import { parseManifests } from '../../api/manifests.js';
import type { Snapshot } from '../../operator/admission/snapshot.js';
import type { Device } from '../../operator/admission/device.js';
import { deviceOf } from '../../operator/admission/device.js';
import { requestOf } from '../../operator/admission/request.js';
import { modelManifest, tenantManifest } from './workspace.js';

/** Tenants, models and devices to decide on. */

const resource = <K extends 'InferenceTenant' | 'InferenceModel' | 'GPUProfile'>(object: object): ResourceOf<K> => {
  const { manifests, problems } = parseManifests('test', stringify(object));
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return manifests[0]!.resource as ResourceOf<K>;
};
export const tenant = (name: string, spec: object = {}): ResourceOf<'InferenceTenant'> =>
  resource(tenantManifest(name, { jitter: '5ms', ...spec }));
const model = resource<'InferenceModel'>(
  modelManifest('echo', 'a'.repeat(64), {
    shapes: [
      [3, 16, 16],
      [3, 8, 8],
    ],
  }),
);
export const models = new Map([['echo', model]]);

/** A device on which a batch of n takes 2 + n ms, `slow` times as much. */
export const device = (node: string, slow = 1, shapes = [[3, 8, 8]], { index = 0, status = {} } = {}): Device =>
  deviceOf(
    resource<'GPUProfile'>({
      apiVersion: 'deeprt.dev/v1alpha1',
      kind: 'GPUProfile',
      metadata: { name: `${node}-${index}` },
      spec: { nodeName: node, device: index },
      status: {
        ...status,
        categories: shapes.map((shape) => ({
          model: 'echo',
          shape,
          batches: [1, 2, 4, 8].map((size) => ({ size, wcetUs: slow * (2000 + 1000 * size) })),
        })),
      },
    }),
  );

export const [one, two] = [device('edge-1'), device('edge-2')];
/** Tenants to be decided on, by their priorities, on two devices. */
export const snapshot = (
  tenants: readonly ResourceOf<'InferenceTenant'>[],
  more: Partial<Snapshot> = {},
  priorities: readonly number[] = [],
): Snapshot => ({
  models,
  devices: [one, two],
  requests: tenants
    .map((each, i) => requestOf(each, { priority: priorities[i] ?? 0, preempts: true }))
    .sort((a, b) => b.priority - a.priority),
  ...more,
});
