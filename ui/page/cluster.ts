import type { LiveCluster } from '../../api/live.js';
import { follow } from './events.js';
import { element, fill, say } from './tables.js';
import { ago, clockTime, percent } from './words.js';

function tellCluster(data: unknown): void {
  const { version, leading, devices, shares, reasons, decisions } = data as LiveCluster;
  say(element('version'), `${version}, ${leading ? 'leading' : 'not leading'}`);
  element('follower').hidden = leading;
  fill(
    'devices',
    devices.map(({ node, device, state, failure, promised, tenants, inSpareTime, models, reportAgeS }) => [
      node,
      `${device}`,
      { text: failure === undefined ? state : `${state}: ${failure}`, bad: failure !== undefined || state !== 'Ready' },
      percent(promised),
      `${tenants}`,
      `${inSpareTime}`,
      models.join(', '),
      ago(reportAgeS),
    ]),
    'No device is measured yet.',
  );
  fill(
    'shares',
    shares.map(({ quota, flavor, nominal, used, borrowed, pendingTenants }) => [
      quota,
      flavor,
      `${used}`,
      `${nominal}`,
      borrowed === 0 ? '' : `${borrowed}`,
      { text: `${pendingTenants}`, bad: pendingTenants > 0 && used < nominal },
    ]),
    'There is no TenantQuota: whoever comes first may have all.',
  );
  fill(
    'reasons',
    Object.entries(reasons).map(([reason, count]) => [reason, `${count}`]),
    'Nobody was answered yet.',
  );
  fill(
    'decisions',
    decisions.map(({ at, tenant, admitted, reason, message }) => [
      clockTime(at),
      tenant,
      { text: admitted ? 'yes' : 'no', bad: !admitted },
      reason,
      message,
    ]),
    'None since this operator leads.',
  );
}

follow({ cluster: tellCluster });
