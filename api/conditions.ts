/** A condition as Kubernetes has them (metav1.Condition). */
export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
}

/** One that was said before. */
interface Said {
  readonly type: string;
  readonly status: string;
  readonly lastTransitionTime?: string;
}

/**
 * A condition with the time since when its status is what it is: that of the one of its type in `before` while the status
 * stays the same, `now` otherwise.
 *
 * @param now RFC 3339
 */
export function withTransition<C extends Condition>(
  condition: C,
  before: readonly Said[] = [],
  now: string,
): C & { lastTransitionTime: string } {
  const old = before.find(({ type }) => type === condition.type);
  const stays = old?.status === condition.status ? old.lastTransitionTime : undefined;
  return { ...condition, lastTransitionTime: stays ?? now };
}

/** The conditions with this one in the place of that of its type. */
export function replaced<B extends Said, C extends Condition>(
  before: readonly B[] = [],
  condition: C,
  now: string,
): (B | (C & { lastTransitionTime: string }))[] {
  return [...before.filter(({ type }) => type !== condition.type), withTransition(condition, before, now)];
}
