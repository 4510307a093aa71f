import { tenantKey } from '../api/names.js';
import type { Decision } from '../operator/admission/decide.js';
import type { Verdict } from '../operator/admission/verdict.js';
import { deviceOf } from '../operator/admission/device.js';
import { writtenOffer } from '../operator/admission/explain.js';
import type { DecisionOnFiles } from './decide-files.js';
import { decideFiles } from './decide-files.js';
import { BadInput, readCatalogue } from './directory.js';
import { table } from './table.js';

/** Admission as a what-if, over manifests and profiles alone. */
export async function planFiles(dir: string, profiles: readonly string[] = []): Promise<DecisionOnFiles> {
  const catalogue = await readCatalogue(dir, ...profiles);
  if (catalogue.profiles.length === 0)
    throw new BadInput(
      `no GPUProfile in ${[dir, ...profiles].join(', ')}; make one with deeprt profile, and give it as --profile`,
    );
  return decideFiles(catalogue, catalogue.profiles.map(deviceOf));
}

/** The verdicts in the form of `deeprt plan -o json`: the same fields for each. */
export function planJson({ verdicts, borrowed }: Pick<DecisionOnFiles, 'verdicts' | 'borrowed'>): object {
  return {
    tenants: verdicts.map(({ offer, promised, refusals, stands: _, ...verdict }) => ({
      ...verdict,
      promised: promised ?? null,
      refusals: refusals ?? [],
      offer: writtenOffer(offer) ?? null,
      ...(borrowed.has(tenantKey(verdict)) ? { borrowed: true } : {}),
    })),
  };
}

export function planTable({
  plans,
  verdicts,
  borrowed,
  unlimited = [],
  unlabelled = [],
}: Decision & Partial<DecisionOnFiles>): string {
  const rows = verdicts.map((verdict) => [
    tenantKey(verdict),
    verdict.admitted ? 'yes' : 'no',
    verdict.reason,
    verdict.placements.map(({ node, device }) => `${node}/${device}`).join(','),
    verdict.admitted ? `${(verdict.utilization * 100).toFixed(1)}%` : '',
    gapsOf(verdict),
    borrowed.has(tenantKey(verdict)) ? `${verdict.message}; borrowed from another team’s share` : verdict.message,
  ]);
  const devices = plans.map(
    ({ device, utilization }) => `${device.node}/${device.device}: ${(utilization * 100).toFixed(1)}% promised`,
  );
  const note = (names: readonly string[], told: string): string[] => (names.length === 0 ? [] : [told]);
  const notes = [
    ...note(
      unlimited,
      `no TenantQuota is for namespace ${unlimited.join(', ')}; a Namespace among the manifests tells its labels`,
    ),
    ...note(
      unlabelled,
      `spec.placement.nodeSelector is not held against ${unlabelled.join(', ')}; a Node among the manifests tells its labels`,
    ),
  ];
  const columns = ['TENANT', 'ADMITTED', 'REASON', 'DEVICE', 'UTIL', 'GAP', 'MESSAGE'];
  return [table(columns, rows), ...devices, ...notes].join('\n');
}

function gapsOf({ placements }: Verdict): string {
  return placements.map(({ gapUs }) => (gapUs === undefined ? 'spare' : `${(gapUs / 1000).toFixed(1)}ms`)).join(',');
}
