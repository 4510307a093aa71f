import { tenantKey } from '../api/names.js';
import type { Decision } from '../operator/admission/decide.js';
import type { Verdict } from '../operator/admission/verdict.js';
import { decide } from '../operator/admission/decide.js';
import { deviceOf } from '../operator/admission/device.js';
import { writtenOffer } from '../operator/admission/explain.js';
import { requestOf } from '../operator/admission/request.js';
import { BadInput, readCatalogue } from './directory.js';
import { table } from './table.js';

/** Admission as a what-if, over manifests and profiles alone. */
export async function planFiles(dir: string, profiles: readonly string[]): Promise<Decision> {
  const catalogue = await readCatalogue(dir, ...profiles);
  if (catalogue.profiles.length === 0)
    throw new BadInput(`no GPUProfile in ${[dir, ...profiles].join(', ')}; make one with deeprt profile`);
  return decide({
    models: catalogue.models,
    devices: catalogue.profiles.map(deviceOf),
    requests: catalogue.tenants.map((tenant) => requestOf(tenant)),
  });
}

/** The verdicts in the form of `deeprt plan -o json`: the same fields for each. */
export function planJson({ verdicts }: Pick<Decision, 'verdicts'>): object {
  return {
    tenants: verdicts.map(({ offer, promised, refusals, stands: _, ...verdict }) => ({
      ...verdict,
      promised: promised ?? null,
      refusals: refusals ?? [],
      offer: writtenOffer(offer) ?? null,
    })),
  };
}

export function planTable({ plans, verdicts }: Decision): string {
  const rows = verdicts.map((verdict) => [
    tenantKey(verdict),
    verdict.admitted ? 'yes' : 'no',
    verdict.reason,
    verdict.placements.map(({ node, device }) => `${node}/${device}`).join(','),
    verdict.admitted ? `${(verdict.utilization * 100).toFixed(1)}%` : '',
    gapsOf(verdict),
    verdict.message,
  ]);
  const devices = plans.map(
    ({ device, utilization }) => `${device.node}/${device.device}: ${(utilization * 100).toFixed(1)}% promised`,
  );
  return `${table(['TENANT', 'ADMITTED', 'REASON', 'DEVICE', 'UTIL', 'GAP', 'MESSAGE'], rows)}\n${devices.join('\n')}`;
}

function gapsOf({ placements }: Verdict): string {
  return placements.map(({ gapUs }) => (gapUs === undefined ? 'spare' : `${(gapUs / 1000).toFixed(1)}ms`)).join(',');
}
