import type { Happening } from '../../kube/events.js';
import type { TenantStatus } from '../tenant-status.js';

const ACTIONS: Readonly<Record<string, string>> = {
  Admitted: 'Admit',
  Programmed: 'Program',
  Ready: 'Serve',
  Degraded: 'Degrade',
  KeptApart: 'KeepApart',
  Borrowed: 'Borrow',
};

/** What of a change of status is worth an Event: every decision, and every coming and going of service. */
export function happenings(before: TenantStatus | undefined, after: TenantStatus): Happening[] {
  const all: Happening[] = [];
  for (const { type, status, reason, message } of after.conditions ?? []) {
    const action = ACTIONS[type];
    const old = before?.conditions?.find((each) => each.type === type);
    if (action === undefined || (old?.status === status && old.reason === reason)) continue;
    // Not yet being served is no news; no longer being served is.
    if (type !== 'Admitted' && status !== 'True' && old?.status !== 'True') continue;
    const good =
      type === 'Borrowed'
        ? reason === 'BeyondNominal'
        : type === 'Degraded' || type === 'KeptApart'
          ? status !== 'True'
          : status === 'True'
            ? type !== 'Admitted' || reason.startsWith('Admitted')
            : reason === 'ProfilePending';
    all.push({ type: good ? 'Normal' : 'Warning', reason, action, note: message });
  }
  const nodes = (status: TenantStatus | undefined): string =>
    [...new Set((status?.placements ?? []).map(({ node }) => node))].sort().join(', ');
  const [from, to] = [nodes(before), nodes(after)];
  if (from !== '' && to !== '' && from !== to)
    all.push({ type: 'Normal', reason: 'Moved', action: 'Place', note: `moved from ${from} to ${to}` });
  return all;
}
