import type { LiveNode, LiveRun, LiveRuns, LiveTenant } from '../../api/live.js';
import { VERSION } from '../../api/version.js';
import { nowUs } from '../../kube/clock.js';
import type { Ran } from '../device/messages.js';
import type { LateFrame } from '../serving/late-frames.js';
import type { DeviceService } from '../serving/service.js';
import type { ServedTenant } from '../serving/tenant.js';
import { booksOf } from '../serving/tenant.js';

/** A node's devices, as the live page looks at them. */
export interface Watched {
  readonly ready: boolean;
  readonly services: readonly DeviceService[];
  late(): readonly LateFrame[];
}

/** What somebody who begins to watch is told of the past. */
const PAST_US = 10_000_000;
const MOST_LATE = 50;

/** How a node stands. */
export function liveNode(devices: Watched): LiveNode {
  const tenants = new Map<string, { tenant: ServedTenant; device: number }[]>();
  for (const service of devices.services)
    for (const tenant of service.tenants.served())
      tenants.set(tenant.key, [...(tenants.get(tenant.key) ?? []), { tenant, device: service.index }]);
  return {
    nowUs: nowUs(),
    version: VERSION,
    ready: devices.ready,
    devices: devices.services.map((service) => ({
      device: service.index,
      ...(service.failure === undefined ? {} : { failure: service.failure }),
      promised: service.shares,
      busyUs: service.books.busyUs,
      runs: service.books.jobs,
      overruns: service.books.overruns,
    })),
    tenants: [...tenants.values()].map(liveTenant),
    late: devices
      .late()
      .slice(0, MOST_LATE)
      .map(({ tenant, atUs, at, cause, latencyUs, deadlineUs, code }) => ({
        ...{ tenant, atUs, at, cause, latencyUs, deadlineUs },
        ...(code === undefined ? {} : { code }),
      })),
  };
}

function liveTenant(parts: readonly { readonly tenant: ServedTenant; readonly device: number }[]): LiveTenant {
  const all = parts.map(({ tenant }) => tenant);
  const { key, terms } = all[0]!;
  const { outcomes, promisedFrames, spareFrames, misses, latencyUs } = booksOf(all);
  const refusals: Record<string, number> = {};
  for (const { refusals: own } of all) for (const [code, n] of own) refusals[code] = (refusals[code] ?? 0) + n;
  const promised = all.filter((tenant) => tenant.terms.promised);
  return {
    tenant: key,
    category: terms.category,
    devices: parts.map(({ device }) => device),
    promisedPerSecond: promised.reduce((sum, each) => sum + (each.terms.streams * 1e6) / each.terms.periodUs, 0),
    ...(terms.deadlineUs === Infinity ? {} : { deadlineUs: terms.deadlineUs }),
    ...{ outcomes, promisedFrames, spareFrames, misses, refusals },
    p50Us: latencyUs.count === 0 ? 0 : latencyUs.percentile(50),
    p99Us: latencyUs.count === 0 ? 0 : latencyUs.percentile(99),
  };
}

/** What has run since somebody was told so many runs of each device; the last seconds for who was told none. */
export function liveRuns(
  services: readonly DeviceService[],
  told?: readonly number[],
): { readonly data: LiveRuns; readonly last: readonly number[] } {
  const atUs = nowUs();
  const fresh = ({ runs }: DeviceService, i: number): readonly Ran[] =>
    told === undefined ? runs.between(atUs - PAST_US, Infinity) : runs.after(told[i] ?? 0);
  return {
    data: {
      nowUs: atUs,
      devices: services.map((service, i) => ({ device: service.index, runs: fresh(service, i).map(liveRun) })),
    },
    last: services.map(({ runs }) => runs.count),
  };
}

const liveRun = ({ category, runKind, frames, promised, startUs, endUs, wcetUs }: Ran): LiveRun => [
  category,
  runKind,
  frames,
  promised,
  startUs,
  endUs - startUs,
  wcetUs,
];
