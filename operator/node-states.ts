import type { NodeObject } from '../kube/core-objects.js';
import type { NodeInfo } from './admission/node.js';

/** An admin's word that a node's figures are right. */
const TRUSTED = 'deeprt.dev/trust-profiles';

export const isTrusted = ({ metadata }: NodeObject): boolean => metadata.annotations?.[TRUSTED] === 'true';

export const isReady = ({ status }: NodeObject): boolean =>
  status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';

/** Since when nodes are not ready, by the monotonic clock: past a grace one counts as lost. */
export class NodeStates {
  readonly #graceMs: number;
  readonly #notReadySinceMs = new Map<string, number>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  /** What of each node concerns anybody here. */
  readonly #concerns = new Map<string, string>();

  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  of(node: NodeObject): NodeInfo['state'] {
    const since = this.#notReadySinceMs.get(node.metadata.name);
    if (since !== undefined) return performance.now() - since >= this.#graceMs ? 'Lost' : 'NotReady';
    return node.spec?.unschedulable === true ? 'Cordoned' : 'Ready';
  }

  /**
   * Takes note of a node; says whether anything changed that may matter. Kubelets renew their node's status every few
   * seconds; most of that concerns nobody here.
   *
   * @param lost told when its grace has passed
   */
  noticed(node: NodeObject, gone: boolean, lost: () => void): boolean {
    const { name, labels } = node.metadata;
    const ready = isReady(node);
    if (gone || ready) {
      this.#notReadySinceMs.delete(name);
      clearTimeout(this.#timers.get(name));
      this.#timers.delete(name);
    } else if (!this.#notReadySinceMs.has(name)) {
      this.#notReadySinceMs.set(name, performance.now());
      this.#timers.set(name, setTimeout(lost, this.#graceMs + 10));
    }
    const { taints, unschedulable } = node.spec ?? {};
    const concerning = [labels, taints, unschedulable, ready, node.status?.addresses, isTrusted(node)];
    const concern = gone ? 'gone' : JSON.stringify(concerning);
    if (this.#concerns.get(name) === concern) return false;
    this.#concerns.set(name, concern);
    return true;
  }

  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }
}
