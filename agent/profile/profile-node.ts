import { withTransition } from '../../api/conditions.js';
import { API_VERSION } from '../../api/crds.js';
import type { Stages } from '../../api/frames.js';
import { categoryName } from '../../api/names.js';
import { timestamp } from '../../kube/clock.js';
import type { DeviceOptions } from '../device/messages.js';
import type { DecodeStage } from '../ingest/decode/stage.js';
import { REFUSED_BURST_US, SPARE_BURST_US } from '../ingest/spare-gate.js';
import type { ModelFile, Residents } from '../models/residents.js';
import type { DeviceService } from '../serving/service.js';
import { Contention } from './contention.js';
import { batchGrid } from './grid.js';
import { IngestLoad } from './ingest-load.js';
import { lookAgain, measureCategory, msPerSize, slowed } from './measure.js';
import type { NodeStages } from './node-stages.js';
import { measureDispatchOverhead } from './overheads.js';
import type { Profile, ProfiledCategory, Progress } from './profile.js';
import { MARGIN, deviceDescription } from './profile.js';
import { reusable } from './store.js';

/** A measured device, and the models that could not be measured, with why. */
export interface ProfileOutcome {
  readonly profile: Profile;
  readonly failures: ReadonlyMap<string, string>;
  /** Whether anything was measured anew. */
  readonly measured: boolean;
}

/** What a device shares with the others of its node. */
export interface NodeOf {
  readonly stages: NodeStages;
  readonly decode: DecodeStage;
}

/** The batch sizes of all categories share this time, besides what loading and a few runs of each take. */
const LONGEST_MS = 600_000;
/** A second look that differs by more than this part is told of. */
const UNSTEADY = 0.1;

/**
 * The device's profile for these models. What a stored profile already says of the same device, runtime and network is
 * taken over; the rest is measured, and looked at again at the end.
 */
export async function profileNode(
  service: DeviceService,
  residents: Residents,
  options: DeviceOptions,
  name: string,
  files: readonly ModelFile[],
  stored: Profile | undefined,
  progress: Progress,
  node: NodeOf,
): Promise<ProfileOutcome> {
  const device = await deviceDescription(options, residents.limitBytes);
  const categories: ProfiledCategory[] = [];
  const pending: Pending[] = [];
  for (const file of files)
    // Smaller shapes first: each shows what it takes on top of them.
    for (const shape of [...file.model.spec.shapes].reverse()) {
      const known = reusable(stored, device, file.model, shape);
      if (known === undefined) pending.push({ file, shape });
      else categories.push(known);
    }
  const head = {
    apiVersion: API_VERSION,
    kind: 'GPUProfile' as const,
    metadata: { name: `${name}-${service.index}`, namespace: '' },
    spec: { nodeName: name, device: service.index },
  };
  node.stages.adopt(stored?.status?.stages);
  const storedModels = stored?.status?.models ?? [];
  const models = (weights: ReadonlyMap<string, number>): NonNullable<NonNullable<Profile['status']>['models']> =>
    files.map(({ model: { metadata, spec } }) => ({
      name: metadata.name,
      sha256: spec.sha256,
      ready: true,
      memoryBytes:
        weights.get(metadata.name) ?? storedModels.find(({ name }) => name === metadata.name)?.memoryBytes ?? 0,
    }));
  if (pending.length === 0 && stored?.status !== undefined) {
    const stages = await node.stages.ensure(service);
    const status = { ...stored.status, stages, device, categories, models: models(new Map()) };
    return { profile: { ...head, status }, failures: new Map(), measured: false };
  }

  const sinceMs = performance.now();
  const { fresh, weights, failures, overheads, unsteadiness, worst, othersShare } =
    pending.length === 0 ? NOTHING_MEASURED : await measureAll(service, residents, pending, progress, node);
  const measuredAt = timestamp();
  const problems = [...failures.values()];
  const unsteady = `a second look at ${worst} took ${(1 + unsteadiness).toFixed(2)} times as long or as short as the first; WCETs hold for the slower`;
  const [status, reason, message] =
    problems.length > 0
      ? (['False', 'ModelFailed', problems.join('; ')] as const)
      : othersShare !== undefined
        ? ([
            'True',
            'Contended',
            `other processes took ${Math.round(100 * othersShare)}% of the cores meanwhile; it is measured again when they do not any more`,
          ] as const)
        : unsteadiness > UNSTEADY
          ? (['True', 'Unsteady', unsteady] as const)
          : (['True', 'Measured', `a second look differed by ${(100 * unsteadiness).toFixed(0)}% at most`] as const);
  const profile: Profile = {
    ...head,
    status: {
      device,
      ...overheads,
      measuredAt,
      profilingSeconds: Math.round((performance.now() - sinceMs) / 100) / 10,
      unsteadiness: Math.round(1000 * unsteadiness) / 1000,
      load: `WCET is ${MARGIN} times p99, measured beside a decode worker that is busy all the time`,
      models: models(weights),
      categories: [...categories, ...fresh],
      conditions: [
        withTransition({ type: 'Profiled', status, reason, message }, stored?.status?.conditions, measuredAt),
      ],
    },
  };
  return { profile, failures, measured: true };
}

/** A category that nothing is known of. */
interface Pending {
  readonly file: ModelFile;
  readonly shape: readonly number[];
}

interface Measurements {
  readonly fresh: readonly ProfiledCategory[];
  /** What each model took to load, in bytes. */
  readonly weights: ReadonlyMap<string, number>;
  readonly failures: ReadonlyMap<string, string>;
  /** Beside running frames. */
  readonly overheads: { readonly dispatchOverheadUs: number; readonly stages?: Stages };
  /** By which part second looks differed at most, and at which category. */
  readonly unsteadiness: number;
  readonly worst: string;
  /** The share of the cores that other processes took meanwhile, where that was much. */
  readonly othersShare?: number;
}

const NOTHING_MEASURED: Measurements = {
  fresh: [],
  weights: new Map(),
  failures: new Map(),
  overheads: { dispatchOverheadUs: 0 },
  unsteadiness: 0,
  worst: '',
};

async function measureAll(
  service: DeviceService,
  residents: Residents,
  pending: readonly Pending[],
  progress: Progress,
  { stages, decode }: NodeOf,
): Promise<Measurements> {
  const weights = new Map<string, number>();
  const failures = new Map<string, string>();
  const fresh: { file: ModelFile; category: ProfiledCategory }[] = [];
  const sizes = pending.reduce((sum, { file }) => sum + batchGrid(file.model.spec.maxBatchSize ?? 8).length, 0);
  progress('stages', 0);
  await stages.ensure(service);
  const others = new Contention(() => [process.pid, service.device.pid, ...decode.pids]);
  const load = new IngestLoad(decode);
  await load.start();
  try {
    const dispatchOverheadUs = await measureDispatchOverhead(service);
    let loadedBytes = 0;
    for (const [index, { file, shape }] of pending.entries()) {
      const { name } = file.model.metadata;
      if (failures.has(name)) continue;
      try {
        if (!weights.has(name)) {
          weights.set(name, await residents.load(file));
          loadedBytes = await residents.usedBytes();
        }
        const allowance = {
          msPerSize: msPerSize(sizes, LONGEST_MS),
          workspaceBytes: async () => Math.max(0, (await residents.usedBytes()) - loadedBytes),
          hasRoom: (bytes: number) => residents.grown(name, weights.get(name)! + bytes),
        };
        const tell = (share: number): void => progress(categoryName(name, shape), (index + share) / pending.length);
        fresh.push({ file, category: await measureCategory(service, file.model, shape, allowance, tell) });
      } catch (error) {
        failures.set(name, (error as Error).message);
      }
    }
    let [unsteadiness, worst] = [0, ''];
    const steadied: ProfiledCategory[] = [];
    for (const { file, category } of fresh) {
      const { name } = file.model.metadata;
      if (failures.has(name)) continue;
      if (!residents.has(name)) await residents.load(file);
      const ratios = await lookAgain(service, file.model, category);
      for (const ratio of ratios)
        if (Math.max(ratio, 1 / ratio) - 1 > unsteadiness)
          [unsteadiness, worst] = [Math.max(ratio, 1 / ratio) - 1, categoryName(name, category.shape)];
      const slower = Math.max(...ratios);
      steadied.push(slower > 1 + UNSTEADY ? slowed(category, slower) : category);
    }
    stages.heldUp(load.heldUpUs + SPARE_BURST_US + REFUSED_BURST_US);
    return {
      fresh: steadied,
      weights,
      failures,
      overheads: { dispatchOverheadUs, stages: stages.value! },
      unsteadiness,
      worst,
      ...(others.much ? { othersShare: others.share } : {}),
    };
  } finally {
    await load.stop();
  }
}
