import type { ResourceOf } from '../../api/manifests.js';
import { API_VERSION } from '../../api/crds.js';
import type { Agent } from '../agent.js';
import type { DeviceOptions } from '../device/messages.js';
import type { Profile, ProfiledCategory, Progress } from './profiler.js';
import {
  INGEST_FPS,
  IngestLoad,
  MARGIN,
  catalogue,
  deviceDescription,
  measureCategory,
  measureChannel,
  measureDispatchOverhead,
  warmUp,
} from './profiler.js';
import { reusable } from './store.js';

/** A measured node, and the models that could not be measured, with why. */
export interface ProfileOutcome {
  readonly profile: Profile;
  readonly failures: ReadonlyMap<string, string>;
  /** Whether anything was measured anew. */
  readonly measured: boolean;
}

/**
 * The device's profile for these models, which are loaded. What a stored profile already says of the same device,
 * runtime and network is taken over; the rest is measured.
 */
export async function profileNode(
  agent: Agent,
  options: DeviceOptions,
  node: string,
  models: readonly ResourceOf<'InferenceModel'>[],
  stored: Profile | undefined,
  progress: Progress,
): Promise<ProfileOutcome> {
  const device = deviceDescription(options);
  const failures = new Map<string, string>();
  const categories: ProfiledCategory[] = [];
  const pending: ReturnType<typeof catalogue> = [];
  for (const { model, shape } of catalogue(models)) {
    const known = reusable(stored, device, model, shape);
    if (known === undefined) pending.push({ model, shape });
    else {
      await warmUp(agent, model, known);
      categories.push(known);
    }
  }
  const metadata = { name: `${node}-0`, namespace: '' };
  const spec = { nodeName: node, device: 0 };
  if (pending.length === 0 && stored?.status !== undefined)
    return {
      profile: { ...stored, metadata, spec, status: { ...stored.status, categories } },
      failures,
      measured: false,
    };

  let overheads = {
    dispatchOverheadUs: stored?.status?.dispatchOverheadUs ?? 0,
    ingestUs: stored?.status?.ingestUs ?? 0,
  };
  if (pending.length > 0) {
    const load = new IngestLoad(pending[0]!.model);
    await load.start();
    try {
      progress('dispatcher', 0);
      const dispatchOverheadUs = await measureDispatchOverhead(agent);
      const channelUs = await measureChannel(agent);
      for (const [index, { model, shape }] of pending.entries()) {
        const name = `${model.metadata.name}@${shape.join('x')}`;
        try {
          categories.push(
            await measureCategory(agent, model, shape, (share) => progress(name, (index + share) / pending.length)),
          );
        } catch (error) {
          failures.set(model.metadata.name, (error as Error).message);
        }
      }
      overheads = { dispatchOverheadUs, ingestUs: load.ingestUs(channelUs) };
    } finally {
      await load.stop();
    }
  }
  const measuredAt = new Date().toISOString();
  const profile: Profile = {
    apiVersion: API_VERSION,
    kind: 'GPUProfile',
    metadata,
    spec,
    status: {
      device,
      ...overheads,
      measuredAt,
      load: `WCET is ${MARGIN} times p99, measured beside ${INGEST_FPS} JPEG frames of 640x480 a second in the agent's own ingest`,
      categories,
      conditions: [
        {
          type: 'Profiled',
          status: failures.size === 0 ? 'True' : 'False',
          reason: failures.size === 0 ? 'Measured' : 'ModelFailed',
          message: [...failures.values()].join('; '),
          lastTransitionTime: measuredAt,
        },
      ],
    },
  };
  return { profile, failures, measured: true };
}
