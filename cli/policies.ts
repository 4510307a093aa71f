import type { Arrival, Camera } from '../sched/arrivals.js';
import type { BatcherConfig } from '../sched/queue.js';
import type { Streams } from '../sched/category.js';
import { shortestDeadlineUs } from '../sched/category.js';
import { DynamicBatcher } from '../sched/dynamic-batcher.js';
import type { Fault } from '../sched/faults.js';
import type { FrameOffer, FrameTerms, Run } from '../sched/frame.js';
import type { Step } from '../sched/ladder.js';
import { deepestRung } from '../sched/ladder.js';
import { simulate as simulatePaper } from '../sched/paper/simulate.js';
import { chooseWindows } from '../sched/paper/windows.js';
import { simulate } from '../sched/simulate.js';
import type { DevicePlan } from '../operator/admission/plan.js';
import type { TenantRequest } from '../operator/admission/request.js';
import { streamsOn } from '../operator/admission/stages.js';

/**
 * By which rule a device serves: ours; ours without spare time; the most urgent first without any promise; a dynamic batcher as serving
 * systems have it; the paper's own discipline.
 */
export const POLICIES = ['rounds', 'no-spare', 'eager', 'dynamic-batcher', 'paper'] as const;
export type Policy = (typeof POLICIES)[number];

/** As Triton's documentation recommends to begin with. */
const DYNAMIC_BATCHER = { preferredBatch: 8, delayUs: 5000 };

export interface Served extends Camera {
  readonly request: TenantRequest;
  readonly promised: boolean;
  /** The most that its frames may be held up outside the device. */
  readonly outsideUs: number;
}

export interface PolicyRun {
  readonly plan: DevicePlan;
  readonly cameras: readonly Served[];
  /** Shapes and E by category, the shape asked for first. */
  readonly ladders: ReadonlyMap<string, readonly Step[]>;
  readonly adaptation: boolean;
  readonly faults: readonly Fault[];
  readonly arrivals: Iterable<Arrival>;
  readonly gaveUp: (arrival: Arrival) => void;
  readonly failed: (arrival: Arrival) => void;
}

interface Outcome {
  readonly run: Pick<Run<Arrival>, 'frames' | 'rung'>;
  readonly startUs: number;
  readonly endUs: number;
}

/** The runs of a device's virtual time under a policy. */
export function simulateBy(policy: Policy, what: PolicyRun): Iterable<Outcome> {
  if (policy === 'paper') return byPaper(what);
  const { cameras, ladders, arrivals, faults, plan } = what;
  const promises = policy === 'rounds' || policy === 'no-spare';
  const tables = new Map([...ladders].map(([name, ladder]) => [name, ladder.map(({ wcet }) => wcet)]));
  const config: BatcherConfig = {
    adaptation: what.adaptation,
    categories: [...tables].map(([name, ladder]) => {
      const category = promises ? plan.categories.find((each) => each.name === name) : undefined;
      const streams = (category?.placed ?? []).map((placed): [string, Streams] => [
        placed.request.key,
        streamsOn(placed, plan.device, plan.receiveUs),
      ]);
      return { name, ladder, visit: category?.visit, promised: new Map(streams) };
    }),
  };
  const categories = new Map([...tables].map(([name, [wcet]]) => [name, wcet!]));
  return simulate({
    config,
    arrivals,
    faults,
    ...(policy === 'dynamic-batcher'
      ? { decider: () => new DynamicBatcher<Arrival>({ categories, ...DYNAMIC_BATCHER }) }
      : {}),
    offerOf: ({ camera, category, atUs }): Omit<FrameOffer, 'category' | 'atUs'> => {
      const { request, promised, outsideUs } = cameras[camera]!;
      return {
        tenant: request.key,
        promised,
        ...allowed(request, ladders.get(category)!),
        dueUs: atUs + request.deadlineUs - outsideUs,
      };
    },
    gaveUp: (frames) => frames.forEach(({ frame }) => what.gaveUp(frame)),
    failed: (frames) => frames.forEach(what.failed),
  });
}

/** What a tenant allows while the device is behind. */
const allowed = ({ minShape, lateFrames }: TenantRequest, ladder: readonly Step[]): Omit<FrameTerms, 'dueUs'> => ({
  deepest: deepestRung(minShape, ladder),
  late: lateFrames === 'Drop' ? 'drop' : 'serve',
});

/** Windows, np-EDF, and only those tenants whom the paper's admission takes, in their order. */
function* byPaper({
  plan,
  cameras,
  ladders,
  adaptation,
  faults,
  arrivals,
  gaveUp,
  failed,
}: PolicyRun): Generator<Outcome> {
  const streams = new Map<string, Streams[]>();
  const categoriesOf = (all: ReadonlyMap<string, readonly Streams[]>) =>
    [...all].map(([name, list]) => ({ name, wcet: ladders.get(name)![0]!.wcet, streams: list }));
  const taken = new Set<number>();
  for (const [i, { category, request }] of cameras.entries()) {
    if (request.class === 'BestEffort') continue;
    const more = new Map(streams);
    more.set(category, [
      ...(more.get(category) ?? []),
      streamsOn({ request, streams: 1, decodeUs: 0 }, plan.device, plan.receiveUs),
    ]);
    if (!chooseWindows(categoriesOf(more)).verdict.accepted) continue;
    streams.set(category, more.get(category)!);
    taken.add(i);
  }
  const served = categoriesOf(streams);
  const { windowsUs } = chooseWindows(served);
  const realTime = served.map(({ name, wcet, streams: list }, i) => ({
    name,
    wcet,
    smaller: ladders
      .get(name)!
      .slice(1)
      .map((step) => step.wcet),
    windowUs: windowsUs[i]!,
    offsetUs: 0,
    relativeDeadlineUs: shortestDeadlineUs(list) - windowsUs[i]!,
  }));
  const admitted = function* (): Generator<Arrival> {
    for (const arrival of arrivals)
      if (taken.has(arrival.camera)) yield arrival;
      else gaveUp(arrival);
  };
  for (const { job, startUs, endUs } of simulatePaper({
    config: { realTime, bestEffort: [], bestEffortUs: 0, earlyRelease: false, adaptation },
    arrivals: admitted(),
    faults,
    termsOf: ({ camera, category, atUs }) => {
      const { request } = cameras[camera]!;
      return { ...allowed(request, ladders.get(category)!), dueUs: atUs + request.deadlineUs };
    },
    dropped: (frames) => frames.forEach(gaveUp),
    failed: (frames) => frames.forEach(failed),
  }))
    yield { run: job, startUs, endUs };
}
