import { isDeepStrictEqual } from 'node:util';
import type { Team } from './checks.js';
import { TO_BE_PLACED, TO_BE_SERVED, objectionOf, theTeamMayHaveAll } from './checks.js';
import { deviceKey } from './device.js';
import { Entry } from './entry.js';
import { perNode, summarizeRefusals } from './explain.js';
import { leaveSpareTime, place, placeElsewhere, placeFewer, placeInSpareTime } from './placing.js';
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
  /** Keys of tenants whose promises are beyond their team's nominal share. */
  readonly borrowed: ReadonlySet<string>;
  /** Those of them who are to be told that somebody within their own share asks for it. */
  readonly notices: ReadonlySet<string>;
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
  const notices = new Set<string>();
  const trial: Trial = { snapshot, plans, entries, notices };
  const ask = (entry: Entry, drivesOut: boolean): void => {
    asked.add(entry.request.key);
    const answer = attempt(trial, entry.request, drivesOut);
    if (answer !== undefined) entry.refuse(answer);
  };
  for (const entry of entries.values())
    if (snapshot.due === undefined || snapshot.due.has(entry.request.key) || entry.displaced) ask(entry, true);
  // Who had to give back what was borrowed may have had their turn by then; they drive out nobody else.
  for (const entry of entries.values())
    if (entry.displaced && entry.answer === undefined && plans.held(entry.request.key).length === 0) ask(entry, false);

  // 3. Those without a place get whatever time is left.
  for (const key of asked) {
    const { request, answer } = entries.get(key)!;
    if (answer !== undefined) serveInSpareTime(snapshot, plans, request);
  }

  // Who may send is what is asked for now, whatever became of the rest: what was taken from somebody is gone at once.
  for (const key of asked) letSend(plans, entries.get(key)!.request);

  // 4. They are answered, and so is everybody else whose place changed by that: whoever has not all that it asks for, anew.
  const before = new Set(snapshot.promised);
  const concerned = (): Set<string> => {
    const changed = plans.all().filter((plan) => !before.has(plan));
    return new Set(changed.flatMap(placedOn).map(({ request }) => request.key));
  };
  for (const key of concerned()) {
    const entry = entries.get(key);
    if (entry !== undefined && !asked.has(key) && !hasAll(plans, entry.request)) ask(entry, false);
  }
  for (const key of concerned()) asked.add(key);
  const verdicts = [...entries.values()]
    .filter(({ request }) => asked.has(request.key))
    .map(({ request, answer }) => verdictOf(request, plans, answer));
  const borrowed = snapshot.quotas?.borrowed(snapshot.quotas.charges(plans.all()), snapshot.requests).keys() ?? [];
  return { plans: plans.all(), settled: plans, verdicts, borrowed: new Set(borrowed), notices };
}

/** What an attempt to place somebody may look at and change. */
interface Trial {
  readonly snapshot: Snapshot;
  readonly plans: Plans;
  readonly entries: ReadonlyMap<string, Entry>;
  /** Who is to be told that what they borrowed is asked for. */
  readonly notices: Set<string>;
}

/** The same as `admit`, but that a fault of ours costs nobody else their answer. */
function attempt(trial: Trial, request: TenantRequest, drivesOut: boolean): Answer | undefined {
  const { plans } = trial;
  const mark = plans.mark();
  try {
    return admit(trial, request, drivesOut);
  } catch (error) {
    plans.undo(mark);
    const message = `deciding failed: ${(error as Error).message}; please report this, with the objects that it is about`;
    return { reason: 'DecisionFailed', message };
  }
}

/** Places a tenant, or says why not. One that has its place and asks for nothing new is left alone. */
function admit(
  { snapshot, plans, entries, notices }: Trial,
  request: TenantRequest,
  drivesOut: boolean,
): Answer | undefined {
  const { key } = request;
  if (request.suspended) {
    plans.withdraw(key);
    return SUSPENDED;
  }
  const held = plans.held(key);
  const unchanged = held.every(({ placed }) => sameRequest(placed.request, request));
  const facts = {
    model: snapshot.models.get(request.model),
    served: held.some(({ placed }) => placed.request.model === request.model),
    team: teamOf(plans, request),
  };

  const unservable = objectionOf(TO_BE_SERVED, request, facts);
  if (unservable !== undefined) {
    if (held.length > 0 && !unchanged) return withPreviousPromise(unservable);
    plans.withdraw(key); // the catalogue changed under the tenant
    return unservable;
  }
  if (held.length > 0 && hasAll(plans, request)) return keep(plans, request, held);
  const forbidden = objectionOf(TO_BE_PLACED, request, facts);
  if (forbidden !== undefined) return alongside(forbidden, request, held, unchanged);

  const mark = plans.mark();
  // A changed tenant gives its place back for the attempt; if the new request does not fit, the old promise stands.
  plans.withdraw(key);
  const toldDevices = new Set(snapshot.told?.get(key)?.streams.keys());
  const homes = held.length > 0 ? new Set(held.map(({ plan }) => deviceKey(plan.device))) : toldDevices;
  const tooMany = theTeamMayHaveAll(request, facts.team);
  const refusals = tooMany === undefined ? place(plans, request, request.streams, homes) : [];
  const standing = { entries, noticed: snapshot.noticed ?? new Set() };
  const tries = refusals !== undefined && tooMany === undefined && drivesOut;
  const room = tries ? preempt(plans, request, standing, refusals) : undefined;
  if (refusals === undefined || room === 'made') {
    leaveSpareTime(plans, key);
    return undefined;
  }
  for (const victim of room?.notify ?? []) notices.add(victim);
  const refusal = tooMany ?? (room === undefined ? answerTo(plans, request, refusals) : reclaiming(room.notify.length));
  plans.undo(mark);
  const there = held.filter(({ plan }) => plans.node(plan.device)?.state !== 'Lost');
  const { quota: { mostStreams = Infinity } = {}, streams: others = 0 } = facts.team ?? {};
  const fewer = placeFewer(plans, request, unchanged ? streamsOf(there) : 0, mostStreams - others, homes);
  if (fewer > 0) leaveSpareTime(plans, key);
  const kept = unchanged && streamsOf(there) >= (request.minStreams ?? request.streams) ? streamsOf(there) : 0;
  if (fewer > 0 || kept > 0) return inPart(request, refusal, Math.max(fewer, kept));
  if (unchanged && there.length < held.length) return nodeLost(held, plans, refusal.message);
  return alongside(refusal, request, held, unchanged);
}

const streamsOf = (held: readonly Held[]): number => held.reduce((sum, { placed }) => sum + placed.streams, 0);

/** Whether a tenant has its place, with all that it asks for. */
function hasAll(plans: Plans, request: TenantRequest): boolean {
  const held = plans.held(request.key);
  return streamsOf(held) === request.streams && held.every(({ placed }) => sameRequest(placed.request, request));
}

/** Why not all that is asked for is promised, beside what is all the same. */
function alongside(refusal: Answer, { streams }: TenantRequest, held: readonly Held[], unchanged: boolean): Answer {
  if (held.length === 0) return refusal;
  if (!unchanged) return withPreviousPromise(refusal);
  const message = `${refusal.message}; the promise to ${streamsOf(held)} of ${streams} streams goes on`;
  return { ...refusal, message };
}

const inPart = ({ streams }: TenantRequest, { message, ...refusal }: Answer, promised: number): Answer => ({
  ...refusal,
  reason: 'AdmittedInPart',
  message: `${promised} of ${streams} streams are promised (spec.minStreams), frames beyond that are spare ones; for all of them: ${message}`,
});

const reclaiming = (count: number): Answer => ({
  reason: 'Reclaiming',
  message: `it is within its team's nominal share, which others have borrowed; ${count === 1 ? 'one tenant has' : `${count} tenants have`} been told to give it back`,
});

/** What the tenant's team has without it, where a quota counts that. */
function teamOf(plans: Plans, { key, namespace }: TenantRequest): Team | undefined {
  const quota = plans.quotas?.of(namespace);
  if (quota === undefined) return undefined;
  if (quota.mostTenants === Infinity && quota.mostStreams === Infinity) return { quota, tenants: 0, streams: 0 };
  const others = plans
    .all()
    .flatMap(placedOn)
    .filter(({ request }) => request.key !== key && plans.quotas!.of(request.namespace) === quota);
  const tenants = new Set(others.map(({ request }) => request.key)).size;
  return { quota, tenants, streams: others.reduce((sum, { streams }) => sum + streams, 0) };
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
  return refusals === undefined ? undefined : nodeLost(lost, plans, summarizeRefusals(perNode(refusals)));
}

function nodeLost(held: readonly Held[], plans: Plans, elsewhere: string): Answer {
  const lost = held.map(({ plan }) => plan.device).filter((device) => plans.node(device)?.state === 'Lost');
  const nodes = [...new Set(lost.map(({ node }) => node))];
  return {
    reason: 'NodeLost',
    message: `${nodes.join(', ')} ${nodes.length === 1 ? 'is' : 'are'} not ready any more; ${elsewhere}; the place there is kept for when the node is back`,
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
