import type { NodeObject } from '../kube/core-objects.js';
import type { NodeInfo } from './admission/node.js';
import { isTrusted } from './node-states.js';
import type { ProfileObject } from './objects.js';
import { implausible } from './plausible.js';

/** The cluster's nodes as placement sees them, by name; what depends on time, whoever reads them has to know. */
export function nodeInfosOf(
  nodes: readonly NodeObject[],
  profiles: readonly ProfileObject[],
  stateOf: (node: NodeObject) => NodeInfo['state'],
  isSilent: (node: string) => boolean,
): Map<string, NodeInfo> {
  const odd = implausible(profiles);
  return new Map(
    nodes.map((node) => {
      const { name, labels = {} } = node.metadata;
      const taints = node.spec?.taints ?? [];
      const claims = isTrusted(node) ? {} : { implausible: odd.get(name) };
      return [name, { name, labels, taints, state: stateOf(node), silent: isSilent(name), ...claims }];
    }),
  );
}
