import { join } from 'node:path';
import { stringify } from 'yaml';
import { keep, kept } from '../agent/disk/kept-file.js';
import type { Profile } from '../agent/profile/profile.js';
import { API_VERSION } from '../api/crds.js';
import type { ResourceOf } from '../api/manifests.js';
import { describeProblem, parseManifests } from '../api/manifests.js';
import type { ScheduleDevice } from '../api/schedule.js';
import type { Device } from '../operator/admission/device.js';
import { deviceOf } from '../operator/admission/device.js';
import type { DevicePlan } from '../operator/admission/plan.js';
import type { TenantRequest } from '../operator/admission/request.js';
import { planOf, scheduleOf } from '../operator/admission/schedule.js';
import type { Verdict } from '../operator/admission/verdict.js';
import { decideFiles, requestsOf } from './decide-files.js';
import type { Files } from './directory.js';
import { catalogueOf, readFiles } from './directory.js';

export interface PlannerOptions {
  readonly dir: string;
  /** Where the record of what is promised is kept. */
  readonly stateDir: string;
  readonly node: string;
}

/** What a folder of manifests asks for, as far as devices need to know. */
export interface Reading {
  /** What is wrong in it, a line each; of a file that has become wrong, what it said before stays. */
  readonly problems: readonly string[];
  readonly models: readonly { readonly model: ResourceOf<'InferenceModel'>; readonly baseDir: string }[];
}

/** What a device is promised to. */
export interface DevicePromise {
  readonly schedule: ScheduleDevice;
  readonly utilization: number;
}

export interface Decided {
  readonly verdicts: readonly Verdict[];
  /** In the order in which they are to be applied. */
  readonly devices: readonly DevicePromise[];
  /** Why nothing is known of what was promised before a restart, where a record of it could not be taken. */
  readonly damage?: string;
}

/** Reads a node's manifests, decides whom its devices are promised to, and keeps the record of it. */
export class Planner {
  readonly #options: PlannerOptions;
  #files: Files = new Map();
  readonly #devices: Device[] = [];
  #plans: readonly DevicePlan[] | undefined;

  constructor(options: PlannerOptions) {
    this.#options = options;
  }

  /** @throws BadInput when the folder cannot be read */
  async read(): Promise<Reading> {
    const read = await readFiles(this.#options.dir);
    const files = new Map(read);
    for (const [file, { problems }] of read)
      if (problems.length > 0) files.set(file, { manifests: this.#files.get(file)?.manifests ?? [], problems: [] });
    this.#files = files;
    const { models, baseDirs } = catalogueOf(files).catalogue;
    return {
      problems: catalogueOf(read).problems.map(describeProblem),
      models: [...models.values()].map((model) => ({ model, baseDir: baseDirs.get(model.metadata.name)! })),
    };
  }

  /**
   * Decides by what was read last. The record is written before anybody acts on it, so that a crash in between loses nothing.
   *
   * @param profiles of the devices whose profile has changed, by index
   */
  async decide(profiles: readonly (Profile | undefined)[]): Promise<Decided> {
    profiles.forEach((profile, device) => {
      if (profile !== undefined) this.#devices[device] = deviceOf(profile);
    });
    const { catalogue } = catalogueOf(this.#files);
    let damage: string | undefined;
    const record = async (): Promise<DevicePlan[]> => {
      try {
        return await this.#record(requestsOf(catalogue));
      } catch (error) {
        damage = (error as Error).message;
        return [];
      }
    };
    const promised = this.#plans ?? (await record());
    const { plans, verdicts } = decideFiles(catalogue, this.#devices, promised);
    if (plans.some((plan) => this.#plans?.includes(plan) !== true)) await this.#write(plans);
    this.#plans = plans;
    // Whoever moves leaves one device before coming to another, or both would be counted on meanwhile.
    const order = plans.toSorted((a, b) => a.categories.length - b.categories.length);
    return {
      verdicts,
      devices: order.map((plan) => ({ schedule: scheduleOf(plan), utilization: plan.utilization })),
      ...(damage === undefined ? {} : { damage }),
    };
  }

  get #file(): string {
    return join(this.#options.stateDir, 'schedule.yaml');
  }

  async #write(plans: readonly DevicePlan[]): Promise<void> {
    const { node } = this.#options;
    const schedule = {
      apiVersion: API_VERSION,
      kind: 'NodeSchedule',
      metadata: { name: node },
      spec: { nodeName: node, devices: plans.map(scheduleOf) },
    };
    await keep(this.#file, stringify(schedule, { aliasDuplicateObjects: false }));
  }

  /** What was promised before a restart. */
  async #record(asked: readonly TenantRequest[]): Promise<DevicePlan[]> {
    const text = await kept(this.#file);
    if (text === undefined) return [];
    const resource = parseManifests(this.#file, text).manifests[0]?.resource;
    if (resource?.kind !== 'NodeSchedule') return [];
    const requests = new Map(asked.map((request) => [request.key, request]));
    return (resource.spec.devices ?? []).flatMap((schedule) => {
      const device = this.#devices[schedule.device];
      return device === undefined ? [] : [planOf(schedule, device, requests)];
    });
  }
}
