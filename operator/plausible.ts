import { shapeText } from '../api/names.js';
import type { ProfileObject } from './objects.js';

/** So many times faster than most of its kind no honest device is. */
const MOST_TIMES = 10;
/** Fewer other nodes with such a device say nothing of its kind. */
const LEAST_OTHERS = 2;

/**
 * Nodes whose agents claim figures out of all proportion, and what: a device of one name that runs a network ten times faster than the
 * median of those on other nodes. They take nobody new until an admin vouches for them (annotation `deeprt.dev/trust-profiles` of the
 * Node), so that a confused or malicious agent draws nobody's frames to itself.
 */
export function implausible(profiles: readonly ProfileObject[]): Map<string, string> {
  const byKind = new Map<string, { readonly node: string; readonly us: number }[]>();
  for (const { spec, status } of profiles)
    for (const { model, shape, batches } of status?.categories ?? []) {
      const alone = batches.find(({ size }) => size === 1);
      if (alone === undefined) continue;
      const kind = `${model}@${shapeText(shape)} on ${status?.device?.name ?? ''} (${status?.device?.executionProvider ?? ''})`;
      byKind.set(kind, [...(byKind.get(kind) ?? []), { node: spec.nodeName, us: alone.wcetUs }]);
    }
  const found = new Map<string, string>();
  for (const [kind, all] of byKind) {
    if (all.length <= LEAST_OTHERS) continue;
    const sorted = [...all].sort((a, b) => a.us - b.us);
    for (const { node, us } of sorted) {
      const others = sorted.filter((each) => each.node !== node);
      const median = others[Math.floor((others.length - 1) / 2)];
      if (others.length < LEAST_OTHERS || median === undefined || us * MOST_TIMES >= median.us) break; // all others are slower still
      found.set(node, `${kind} takes ${us}us, and ${median.us}us on other nodes`);
    }
  }
  return found;
}
