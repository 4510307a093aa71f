import { formatDurationUs, parseDurationUs } from '../../api/duration.js';
import type { ResourceOf } from '../../api/manifests.js';
import { categoryName } from '../../api/names.js';
import type { Catalogue } from '../../cli/directory.js';
import type { Decision } from '../../operator/admission/decide.js';
import { decide } from '../../operator/admission/decide.js';
import { deviceOf } from '../../operator/admission/device.js';
import { requestOf } from '../../operator/admission/request.js';
import { atRate } from '../example-manifests.js';

type Tenant = ResourceOf<'InferenceTenant'>;

/** Admitted utilization that the tenants are scaled to. */
export const UTILIZATION = { least: 0.7, aim: 0.78, most: 0.85 };
const DEADLINE_FACTORS = [1, 1.25, 1.5, 2, 3, 4, 6, 8, 12, 16];
/** Share of the device that the tenant to be refused asks for. */
const GREEDY_SHARE = 0.6;
export const GREEDY = 'crowd-count';

/** The example tenants with frame rates times `rate` and deadlines times `deadline`; the greedy one as given. */
function scaled(tenants: readonly Tenant[], rate: number, deadline: number, greedyFps: number): Tenant[] {
  return tenants.map((tenant) => ({
    ...tenant,
    spec: {
      ...atRate(
        tenant.spec,
        tenant.metadata.name === GREEDY
          ? greedyFps
          : Math.max(0.1, Math.round(tenant.spec.framesPerSecond! * rate * 10) / 10),
      ),
      ...(tenant.spec.deadline === undefined
        ? {}
        : { deadline: formatDurationUs(Math.round(parseDurationUs(tenant.spec.deadline) * deadline)) }),
    },
  }));
}

/** Finds the scale at which all but the greedy tenant are admitted at the utilization aimed at. */
export function scaleTo(catalogue: Catalogue): {
  tenants: Tenant[];
  decision: Decision;
  rate: number;
  deadline: number;
} {
  const device = deviceOf(catalogue.profiles[0]!);
  const greedy = catalogue.tenants.find(({ metadata }) => metadata.name === GREEDY)!;
  const greedyTable = device.tables.get(categoryName(greedy.spec.modelRef.name, greedy.spec.inputShape))!;
  const perFrameUs = greedyTable.at(greedyTable.largestBatch) / greedyTable.largestBatch;
  const greedyFps = Math.ceil((GREEDY_SHARE * 1e6) / perFrameUs / (greedy.spec.streams ?? 1));
  const attempt = (rate: number, deadline: number) => {
    const tenants = scaled(catalogue.tenants, rate, deadline, greedyFps);
    return {
      tenants,
      rate,
      deadline,
      decision: decide({
        models: catalogue.models,
        devices: [device],
        requests: tenants.map((tenant) => requestOf(tenant)),
      }),
    };
  };
  for (const deadline of DEADLINE_FACTORS) {
    let best: ReturnType<typeof attempt> | undefined;
    for (let rate = 0.02; rate < 200; rate *= 1.04) {
      const tried = attempt(rate, deadline);
      const utilization = tried.decision.plans[0]!.utilization;
      const others = tried.decision.verdicts.every(({ name, admitted }) => admitted !== (name === GREEDY));
      const closer =
        best === undefined ||
        Math.abs(utilization - UTILIZATION.aim) < Math.abs(best.decision.plans[0]!.utilization - UTILIZATION.aim);
      if (others && utilization >= UTILIZATION.least && utilization <= UTILIZATION.most && closer) best = tried;
      if (!others && best !== undefined) break;
    }
    if (best !== undefined) return best;
  }
  throw new Error('found no scale at which the example tenants fill 70-85% of this machine');
}
