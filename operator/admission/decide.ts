import { isDeepStrictEqual } from 'node:util';
import { TO_BE_PLACED, TO_BE_SERVED, objectionOf } from './checks.js';
import { deviceKey } from './device.js';
import { Entry } from './entry.js';
import { perNode, summarizeRefusals } from './explain.js';
import { leaveSpareTime, place, placeElsewhere, placeInSpareTime } from './placing.js';
import type { DevicePlan } from './plan.js';
import { placedOn, withSenders } from './plan.js';
import type { Held, Plans, Settled } from './plans.js';
import { preempt } from './preempt.js';
import { answerTo } from './refuse.js';
import type { TenantRequest } from './request.js';
import { sameRequest } from './request.js';
import { settle } from './settle.js';
import type { Snapshot } from './snapshot.js';
import type { Answer, Verdict } from './verdict.js';
import { verdictOf } from './verdict.js';

export interface Decision {
  readonly plans: readonly DevicePlan[];
  /** One for each tenant that was decided on or whose place, visits or share changed, in the order of the requests. */
  readonly verdicts: readonly Verdict[];
  readonly settled: Settled;
}

/** Decides on the tenants of a snapshot. Pure; the outcome is a value. */
export function decide(snapshot: Snapshot): Decision {
  // 1. Everybody keeps what still holds of what they were promised.
  const { plans, displaced } = settle(snapshot);
  const entries = new Map(
    snapshot.requests.map((request) => [request.key, new Entry(request, displaced.get(request.key))]),
  );

  // 2. Whoever is due or has lost their place is tried, in order.
  const asked = new Set<string>();
  for (const entry of entries.values()) {
    const { key } = entry.request;
    if (snapshot.due !== undefined && !snapshot.due.has(key) && !entry.displaced) continue;
    asked.add(key);
    const answer = attempt(snapshot, plans, entries, entry.request);
    if (answer !== undefined) entry.refuse(answer);
  }

  // 3. Those without a place get whatever time is left.
  for (const key of asked) {
    const { request, answer } = entries.get(key)!;
    if (answer !== undefined) serveInSpareTime(snapshot, plans, request);
  }

  // Who may send is what is asked for now, whatever became of the rest: what was taken from somebody is gone at once.
  for (const key of asked) letSend(plans, entries.get(key)!.request);

  // 4. They are answered, and so is everybody else whose place changed by that.
  const before = new Set(snapshot.promised);
  const changed = plans.all().filter((plan) => !before.has(plan));
  for (const { request } of changed.flatMap(placedOn)) asked.add(request.key);
  const verdicts = [...entries.values()]
    .filter(({ request }) => asked.has(request.key))
    .map(({ request, answer }) => verdictOf(request, plans, answer));
  return { plans: plans.all(), settled: plans, verdicts };
}

/** The same as `admit`, but that a fault of ours costs nobody else their answer. */
function attempt(
  snapshot: Snapshot,
  plans: Plans,
  entries: ReadonlyMap<string, Entry>,
  request: TenantRequest,
): Answer | undefined {
  const mark = plans.mark();
  try {
    return admit(snapshot, plans, entries, request);
  } catch (error) {
    plans.undo(mark);
    const message = `deciding failed: ${(error as Error).message}; please report this, with the objects that it is about`;
    return { reason: 'DecisionFailed', message };
  }
}

/** Places a tenant, or says why not. One that has its place and asks for nothing new is left alone. */
function admit(
  snapshot: Snapshot,
  plans: Plans,
  entries: ReadonlyMap<string, Entry>,
  request: TenantRequest,
): Answer | undefined {
  const { key } = request;
  if (request.suspended) {
    plans.withdraw(key);
    return SUSPENDED;
  }
  const held = plans.held(key);
  const unchanged = held.every(({ placed }) => sameRequest(placed.request, request));
  const complete = held.reduce((sum, { placed }) => sum + placed.streams, 0) === request.streams;
  const facts = {
    model: snapshot.models.get(request.model),
    served: held.some(({ placed }) => placed.request.model === request.model),
  };

  const unservable = objectionOf(TO_BE_SERVED, request, facts);
  if (unservable !== undefined) {
    if (held.length > 0 && !unchanged) return withPreviousPromise(unservable);
    plans.withdraw(key); // the catalogue changed under the tenant
    return unservable;
  }
  if (held.length > 0 && unchanged && complete) return keep(plans, request, held);
  const forbidden = objectionOf(TO_BE_PLACED, request, facts);
  if (forbidden !== undefined) return held.length > 0 ? withPreviousPromise(forbidden) : forbidden;

  const mark = plans.mark();
  // A changed tenant gives its place back for the attempt; if the new request does not fit, the old promise stands.
  plans.withdraw(key);
  const toldDevices = new Set(snapshot.told?.get(key)?.streams.keys());
  const homes = held.length > 0 ? new Set(held.map(({ plan }) => deviceKey(plan.device))) : toldDevices;
  const refusals = place(plans, request, request.streams, homes);
  if (refusals === undefined || preempt(plans, request, entries, refusals)) {
    leaveSpareTime(plans, key);
    return undefined;
  }
  const refusal = answerTo(plans, request, refusals);
  plans.undo(mark);
  return held.length > 0 ? withPreviousPromise(refusal) : refusal;
}

const SUSPENDED: Answer = {
  reason: 'Suspended',
  message:
    'it is suspended (spec.suspend): nothing is promised, and no frame is served; kubectl deeprt resume ends that',
};

/** Whoever has its place keeps it, but that what a lost node served goes elsewhere where it fits. */
function keep(plans: Plans, request: TenantRequest, held: readonly Held[]): Answer | undefined {
  const lost = held.filter(({ plan }) => plans.node(plan.device)?.state === 'Lost');
  const refusals = lost.length === 0 ? undefined : placeElsewhere(plans, request, lost);
  if (refusals === undefined) return undefined;
  const nodes = [...new Set(lost.map(({ plan }) => plan.device.node))];
  return {
    reason: 'NodeLost',
    message: `${nodes.join(', ')} ${nodes.length === 1 ? 'is' : 'are'} not ready any more; ${summarizeRefusals(perNode(refusals))}; the place there is kept for when the node is back`,
  };
}

function serveInSpareTime(snapshot: Snapshot, plans: Plans, request: TenantRequest): void {
  const { key, model, beyondPromise, suspended } = request;
  const facts = { model: snapshot.models.get(model), served: plans.spareOf(key).length > 0 };
  const wanted = !suspended && beyondPromise === 'Serve' && plans.held(key).length === 0;
  if (wanted && objectionOf(TO_BE_SERVED, request, facts) === undefined) placeInSpareTime(plans, request);
  else leaveSpareTime(plans, key);
}

function letSend(plans: Plans, { key, senders }: TenantRequest): void {
  for (const { plan, placed } of [...plans.held(key), ...plans.spareOf(key)])
    if (!isDeepStrictEqual(placed.request.senders, senders)) plans.set(withSenders(plan, key, senders));
}

const withPreviousPromise = (refusal: Answer): Answer => ({
  ...refusal,
  message: `the changed request is not admitted (${refusal.message}); the one before goes on`,
});
