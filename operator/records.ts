import { isDeepStrictEqual } from 'node:util';
import { tenantKey } from '../api/names.js';
import type { ScheduleDevice } from '../api/schedule.js';
import { scheduledOn } from '../api/schedule.js';
import { statusOf } from '../kube/cluster.js';
import type { Logger } from '../kube/log.js';
import type { Meta, Objects } from '../kube/objects.js';
import type { Device } from './admission/device.js';
import { deviceKey, unmeasured } from './admission/device.js';
import type { DevicePlan } from './admission/plan.js';
import { emptyPlan, placedOn } from './admission/plan.js';
import type { TenantRequest } from './admission/request.js';
import { planOf, scheduleOf } from './admission/schedule.js';
import type { ScheduleObject } from './objects.js';
import type { Change } from './write-order.js';
import { writeOrder } from './write-order.js';

/** A record was changed by somebody else since it was read; what was decided on it is void. */
export class RecordConflict extends Error {}

/**
 * The NodeSchedules as this leader wrote or read them last: the record of what was promised. Each write names the
 * generation it was decided on, so that two leaders can never promise the same device twice, whatever the clocks say.
 */
export class Records {
  readonly #schedules: Objects<ScheduleObject>;
  readonly #log: Logger;
  readonly #mayWrite: () => void;
  readonly #known = new Map<string, ScheduleObject>();
  readonly #plans = new Map<string, DevicePlan>();
  /** Nodes whose record has to be read again before it can be relied on. */
  readonly #stale = new Set<string>();
  readonly #writing = new Set<string>();

  /** @param mayWrite throws when this process is not the leader any more */
  constructor(schedules: Objects<ScheduleObject>, log: Logger, mayWrite: () => void) {
    this.#schedules = schedules;
    this.#log = log;
    this.#mayWrite = mayWrite;
  }

  /** Reads all records, not from a copy but from the API server: the leader before may just have written. */
  async load(): Promise<void> {
    const { items } = await this.#schedules.list();
    for (const schedule of items) this.#known.set(schedule.metadata.name, schedule);
  }

  /** Nodes with a record. */
  nodes(): string[] {
    return [...this.#known.keys()];
  }

  /** Keys of all tenants in the records. */
  tenants(): Set<string> {
    const keys = new Set<string>();
    for (const schedule of this.#known.values()) for (const key of keysOf(schedule)) keys.add(key);
    return keys;
  }

  /** Takes note of a record that somebody else wrote or deleted; says whether it is one. */
  noticed({ metadata }: ScheduleObject, gone: boolean, owners: readonly object[]): boolean {
    // One's own write may be heard of before it is answered; if it was another's, one's own will fail.
    if (this.#writing.has(metadata.name)) return false;
    const known = this.#known.get(metadata.name);
    const same = known?.metadata.uid === metadata.uid;
    if (gone && !same) return false;
    const older = (metadata.generation ?? 0) <= (known?.metadata.generation ?? 0);
    if (!gone && same && older && isOwnedBy(metadata, owners)) return false;
    this.#stale.add(metadata.name);
    return true;
  }

  /**
   * Puts back what somebody else has deleted or changed: whoever leads knows what was promised. A record that is new here
   * is taken over.
   *
   * @param all whether all owners are looked at: a node may have been made anew
   */
  async refresh(ownerOf: (node: string) => object[], all: boolean): Promise<void> {
    if (all)
      for (const [node, { metadata }] of this.#known) if (!isOwnedBy(metadata, ownerOf(node))) this.#stale.add(node);
    for (const node of [...this.#stale]) {
      const known = this.#known.get(node);
      const found = await this.#schedules.get(node);
      if (known === undefined && found !== undefined) {
        this.#known.set(node, found);
        for (const [key, plan] of this.#plans) if (plan.device.node === node) this.#plans.delete(key);
      } else if (known !== undefined) {
        const { spec, metadata } = known;
        const { name, ownerReferences = [] } = metadata;
        const owners = ownerOf(node);
        const own = owners.length === 0 ? ownerReferences : owners;
        this.#mayWrite();
        if (found === undefined)
          this.#known.set(node, await this.#schedules.create({ metadata: { name, ownerReferences: own }, spec }));
        else if (isDeepStrictEqual(found.spec, spec) && isOwnedBy(found.metadata, owners)) this.#known.set(node, found);
        else {
          const right = { ...found, metadata: { ...found.metadata, ownerReferences: own }, spec };
          this.#known.set(node, await this.#schedules.replace(right));
        }
      }
      this.#stale.delete(node);
    }
  }

  /** What was promised, as it was written last. */
  get plans(): readonly DevicePlan[] {
    return [...this.#plans.values()];
  }

  /** What was promised, over devices as they are known now. A device that is not measured any more stays without tables. */
  promised(devices: readonly Device[], requests: readonly TenantRequest[]): DevicePlan[] {
    const byKey = new Map(devices.map((device) => [deviceKey(device), device]));
    const asked = new Map(requests.map((request) => [request.key, request]));
    for (const [node, { spec }] of this.#known)
      for (const schedule of spec.devices ?? []) {
        const key = deviceKey({ node, device: schedule.device });
        if (this.#plans.has(key)) continue;
        const device = byKey.get(key) ?? unmeasured(node, schedule.device);
        this.#plans.set(key, this.#read(schedule, device, asked));
      }
    return [...this.#plans.values()];
  }

  /** One record that cannot be read costs its own device's tenants their place, and nobody else anything. */
  #read(schedule: ScheduleDevice, device: Device, asked: ReadonlyMap<string, TenantRequest>): DevicePlan {
    try {
      return planOf(schedule, device, asked);
    } catch (error) {
      this.#log.error(
        { node: device.node, device: device.device, error: (error as Error).message },
        'what was promised on this device cannot be read; its tenants are placed anew',
      );
      return emptyPlan(device);
    }
  }

  /**
   * Writes the plans that differ from the records, a moved tenant's new node before its old one.
   *
   * @throws RecordConflict when a record was changed by somebody else; the records are then read again
   */
  async write(plans: readonly DevicePlan[], ownerOf: (node: string) => object[]): Promise<void> {
    const byNode = new Map<string, DevicePlan[]>();
    for (const plan of plans) byNode.set(plan.device.node, [...(byNode.get(plan.device.node) ?? []), plan]);
    const changes = [...byNode].flatMap(([node, all]) => this.#change(node, all));
    for (const group of writeOrder(changes)) {
      const outcomes = await Promise.allSettled(
        group.map((node) => this.#writeNode(node, byNode.get(node)!, ownerOf(node))),
      );
      const failed = outcomes.find((outcome) => outcome.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    }
    this.#plans.clear();
    for (const plan of plans) this.#plans.set(deviceKey(plan.device), plan);
  }

  /** Deletes the record of a node that is gone. */
  async drop(node: string): Promise<void> {
    this.#mayWrite();
    await this.#schedules.delete({ name: node });
    this.#known.delete(node);
    for (const [key, plan] of this.#plans) if (plan.device.node === node) this.#plans.delete(key);
  }

  #change(node: string, plans: readonly DevicePlan[]): Change[] {
    const known = this.#known.get(node);
    const more = (known?.spec.devices ?? []).some(({ device }) => !plans.some((plan) => plan.device.device === device));
    if (!more && known !== undefined && plans.every((plan) => this.#plans.get(deviceKey(plan.device)) === plan))
      return [];
    const before = known === undefined ? new Set<string>() : keysOf(known);
    const after = new Set(
      plans.flatMap((plan) => [...placedOn(plan), ...plan.spare]).map(({ request }) => request.key),
    );
    return [{ node, gains: after.difference(before), losses: before.difference(after) }];
  }

  async #writeNode(node: string, plans: readonly DevicePlan[], ownerReferences: object[]): Promise<void> {
    const devices = plans.map(scheduleOf).sort((a, b) => a.device - b.device);
    const spec = { nodeName: node, promised: promisedShares(plans), tenants: tenantCount(devices), devices };
    const known = this.#known.get(node);
    if (known !== undefined && isDeepStrictEqual(known.spec, spec)) return;
    this.#writing.add(node);
    try {
      this.#mayWrite();
      const written =
        known === undefined
          ? await this.#schedules.create({ metadata: { name: node, ownerReferences }, spec })
          : await this.#replace(known, spec);
      this.#known.set(node, written);
      for (const plan of plans) this.#plans.set(deviceKey(plan.device), plan);
    } catch (error) {
      this.#stale.add(node); // it may have been written or not
      if (statusOf(error) === 409) throw new RecordConflict(`NodeSchedule ${node} was made by somebody else`);
      throw error;
    } finally {
      this.#writing.delete(node);
    }
  }

  /** Only another spec is a conflict: an agent's report changes the resourceVersion, too. */
  async #replace({ metadata: { name, uid, generation } }: ScheduleObject, spec: object): Promise<ScheduleObject> {
    try {
      return await this.#schedules.patch(name, [
        { op: 'test', path: '/metadata/uid', value: uid },
        { op: 'test', path: '/metadata/generation', value: generation },
        { op: 'replace', path: '/spec', value: spec },
      ]);
    } catch (error) {
      const { metadata: now } = (await this.#schedules.get(name)) ?? {};
      if (now?.uid === uid && now?.generation === generation) throw error;
      throw new RecordConflict(`NodeSchedule ${name} was changed by somebody else`);
    }
  }
}

/** Whether an object goes with these owners, where they are known. */
const isOwnedBy = ({ ownerReferences = [] }: Meta, owners: readonly object[]): boolean =>
  owners.length === 0 || isDeepStrictEqual(ownerReferences.map(identity), owners.map(identity));

const identity = (owner: object): unknown[] => {
  const { kind, name, uid } = owner as { readonly kind?: string; readonly name?: string; readonly uid?: string };
  return [kind, name, uid];
};

/** Records are values: what was read of one is remembered with it. */
const keys = new WeakMap<ScheduleObject, ReadonlySet<string>>();
function keysOf(schedule: ScheduleObject): ReadonlySet<string> {
  const known = keys.get(schedule) ?? new Set((schedule.spec.devices ?? []).flatMap(scheduledOn).map(tenantKey));
  keys.set(schedule, known);
  return known;
}

const promisedShares = (plans: readonly DevicePlan[]): string =>
  [...plans]
    .sort((a, b) => a.device.device - b.device.device)
    .map(({ utilization }) => utilization.toFixed(2))
    .join(',');

const tenantCount = (devices: readonly ScheduleDevice[]): number =>
  new Set(devices.flatMap((device) => scheduledOn(device).map(tenantKey))).size;
