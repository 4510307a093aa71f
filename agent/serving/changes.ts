import { shapeText } from '../../api/names.js';
import type { Logger } from '../../kube/log.js';

/** What somebody beside the frames wants to hear of. */
export type Change =
  | { readonly kind: 'deviceLost'; readonly error: string }
  | { readonly kind: 'deviceGone'; readonly error: string }
  | { readonly kind: 'deviceRecovered'; readonly tookMs: number }
  | { readonly kind: 'modelQuarantined'; readonly model: string; readonly reason: string }
  | { readonly kind: 'degraded'; readonly tenant: string; readonly shape: readonly number[] }
  | { readonly kind: 'keptApart'; readonly tenant: string; readonly error: string };

/** Whether a change bears on what the device can be promised to do. */
export const changesProfile = ({ kind }: Change): boolean =>
  kind === 'modelQuarantined' || kind === 'deviceGone' || kind === 'deviceRecovered';

/** A line in the log for what happened to the device or to a tenant's frames. */
export function logChange(log: Logger, change: Change): void {
  switch (change.kind) {
    case 'deviceLost':
      return log.error(
        { error: change.error },
        'device lost; it is being replaced, and frames that have time wait for that',
      );
    case 'deviceGone':
      return log.error({ error: change.error }, 'device gone; its tenants are moved where they fit, trying goes on');
    case 'deviceRecovered':
      return log.info({ tookMs: change.tookMs }, 'device replaced; serving again');
    case 'modelQuarantined':
      return log.error({ model: change.model, reason: change.reason }, 'model kept off the device');
    case 'keptApart':
      return log.warn(
        { tenant: change.tenant, error: change.error },
        "the network fails on this tenant's frames again and again; they run one by one, in spare time, apart from others'",
      );
    case 'degraded':
      return log.warn(
        { tenant: change.tenant, shape: shapeText(change.shape) },
        'the device is behind; frames are computed at a smaller shape',
      );
  }
}
