import { setTimeout as delay } from 'node:timers/promises';
import { replaced } from '../../api/conditions.js';
import { categoryName } from '../../api/names.js';
import type { CompleteModel } from '../frames.js';
import { networkDims } from '../frames.js';
import type { DeviceService } from '../serving/service.js';
import type { CategoryDrift } from './drift.js';
import { slowed } from './measure.js';
import type { Profile, ProfiledCategory } from './profile.js';

/** Runs of one batch size whose median tells how the device is doing. */
const RUNS = 15;
/** Measuring in slack must end some time, or tenants would go on missing meanwhile. */
const LONGEST_MS = 6000;
/** A run is given a gap of this many times its WCET: the device may be slower than that. */
const ROOM = 1.5;
/** Live runs that take so many times what runs of noise take at the same time take it for what is in the frames. */
const BY_CONTENT = 1.5;
/** Smaller changes are left alone. */
const WORTH_CORRECTING = 0.1;

const nameOf = ({ model, shape }: ProfiledCategory): string => categoryName(model, shape);

export interface Factors {
  readonly factors: ReadonlyMap<string, number>;
  readonly byContent: ReadonlySet<string>;
}

/**
 * By how many times the profile's figures of categories are wrong. Measured in the device's slack, at the smallest, a
 * middle and the largest batch size, where a gap holds that, and not below what live runs exceed their WCET by; where no
 * gap does, what live runs took; where there were none, what the other categories have in common. Where frames' content
 * decides, only live runs count, and those that raised the suspicion too; the latter also where a correction has not ended it.
 *
 * @param before what live runs had shown when these categories came under suspicion
 * @param categories those that are wrong, and those that nothing is known of
 * @param restless those that have come under suspicion again soon after they were corrected
 * @returns the factors by category, and the categories whose time depends on what is in the frames
 */
export async function measureFactors(
  service: DeviceService,
  categories: readonly ProfiledCategory[],
  models: ReadonlyMap<string, CompleteModel>,
  before: ReadonlyMap<string, CategoryDrift>,
  live: () => Promise<ReadonlyMap<string, CategoryDrift>>,
  restless: ReadonlySet<string> = new Set(),
): Promise<Factors> {
  const factors = new Map<string, number>();
  const byContent = new Set<string>();
  const untilMs = performance.now() + LONGEST_MS;
  for (const category of categories) {
    const model = models.get(category.model);
    const measured =
      model === undefined || category.byContent === true
        ? undefined
        : await measuredFactor(service, category, model, () => performance.now() > untilMs);
    if (measured !== undefined) factors.set(nameOf(category), measured);
  }
  // These runs were all made since the drift was noticed.
  const since = await live();
  for (const category of categories) {
    const name = nameOf(category);
    const shown = category.byContent === true || restless.has(name) ? before.get(name) : undefined;
    const drift = since.get(name) ?? shown;
    if (drift === undefined) continue;
    const { median } = drift;
    const p95OfWcet = restless.has(name) ? Math.max(drift.p95OfWcet, shown?.p95OfWcet ?? 0) : drift.p95OfWcet;
    const measured = factors.get(name);
    if (p95OfWcet > BY_CONTENT * (measured ?? Infinity)) byContent.add(name);
    factors.set(name, Math.max(measured ?? median, p95OfWcet > 1 ? p95OfWcet : 0));
  }
  const common = geometricMean([...factors.values()]);
  for (const category of categories) if (!factors.has(nameOf(category))) factors.set(nameOf(category), common);
  return { factors, byContent };
}

async function measuredFactor(
  service: DeviceService,
  { model, shape, batches }: ProfiledCategory,
  { spec }: CompleteModel,
  late: () => boolean,
): Promise<number | undefined> {
  const input = { model, dims: networkDims(shape, spec.input.layout) };
  const ratios: number[] = [];
  for (const { size, p50Us, wcetUs } of new Set([batches[0]!, batches[batches.length >> 1]!, batches.at(-1)!])) {
    const times: number[] = [];
    try {
      while (times.length < RUNS && !late()) {
        const measure = { input, batch: size, slackUs: Math.ceil(ROOM * wcetUs) };
        times.push((await service.device.measure(measure)).us);
        await delay(1); // frames' messages first
      }
    } catch {
      continue; // no gap holds this size
    }
    if (times.length >= RUNS / 2) ratios.push(times.sort((a, b) => a - b)[times.length >> 1]! / (p50Us ?? wcetUs));
  }
  return ratios.length === 0 ? undefined : geometricMean(ratios);
}

/** The profile with its times multiplied; undefined when nothing changes enough to matter. */
export function corrected(profile: Profile, { factors, byContent }: Factors, now: string): Profile | undefined {
  const worth = [...factors].filter(([, factor]) => Math.abs(factor - 1) >= WORTH_CORRECTING);
  if (worth.length === 0) return undefined;
  const applied = new Map(worth);
  const message = worth.map(([name, factor]) => `${name} takes ${factor.toFixed(2)} times as long`).join(', ');
  return {
    ...profile,
    status: {
      ...profile.status,
      measuredAt: now,
      categories: (profile.status?.categories ?? []).map((category) => ({
        ...slowed(category, applied.get(nameOf(category)) ?? 1),
        ...(byContent.has(nameOf(category)) ? { byContent: true } : {}),
      })),
      conditions: withStale(profile, 'False', 'Corrected', message, now),
    },
  };
}

type Conditions = NonNullable<NonNullable<Profile['status']>['conditions']>;

/** The profile's conditions with another Stale. */
export const withStale = (
  profile: Profile,
  status: 'True' | 'False',
  reason: string,
  message: string,
  now: string,
): Conditions => replaced(profile.status?.conditions, { type: 'Stale', status, reason, message }, now);

const staleness = ({ status }: Profile): { status: string } | undefined =>
  status?.conditions?.find(({ type }) => type === 'Stale');

/** Whether the device deviates from the profile, as far as is known. */
export const isStale = (profile: Profile): boolean => staleness(profile)?.status === 'True';

/** Whether the device has ever deviated from the profile since it was measured as a whole. */
export const wasDoubted = (profile: Profile): boolean => staleness(profile) !== undefined;

function geometricMean(values: readonly number[]): number {
  return values.length === 0 ? 1 : Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}
