import { isDeepStrictEqual } from 'node:util';
import { withTransition } from '../../api/conditions.js';
import { MEASURE_AGAIN } from '../../api/names.js';
import { timestamp } from '../../kube/clock.js';
import type { Cluster } from '../../kube/cluster.js';
import { statusOf } from '../../kube/cluster.js';
import { Informer } from '../../kube/informer.js';
import { PROFILES } from '../../kube/kinds.js';
import type { KubeObject } from '../../kube/objects.js';
import { Objects } from '../../kube/objects.js';
import { Nodes } from '../../kube/core-objects.js';
import type { Profile } from '../profile/profile.js';

export const FIELD_MANAGER = 'deeprt-agent';
const PROFILING = {
  type: 'Profiled',
  status: 'False',
  reason: 'Profiling',
  message: 'the device is being measured',
} as const;

export interface ProfilePublisherOptions {
  readonly cluster: Cluster;
  readonly node: string;
  readonly device: number;
  /** Told that somebody else has deleted or changed the profile. */
  readonly spoiled: () => void;
  /** Told that somebody asks for the device to be measured again. */
  readonly asked: () => void;
  readonly failed: (error: string, retryMs: number) => void;
}

/** Keeps one device's GPUProfile as it should be. */
export class ProfilePublisher {
  readonly #options: ProfilePublisherOptions;
  readonly #api: Objects<Profile & KubeObject>;
  readonly #nodes: Nodes;
  readonly #informer: Informer<Profile & KubeObject>;
  /** Over the API server's whole catalogue; what was stored may know fewer models. */
  #profile: Profile | undefined;
  /** What was written last; null: that the device is being measured. */
  #published: Profile | null | undefined;
  #asks = false;

  constructor(options: ProfilePublisherOptions) {
    this.#options = options;
    this.#api = new Objects(options.cluster, PROFILES);
    this.#nodes = new Nodes(options.cluster);
    this.#informer = new Informer(this.#api.listWatch({ fieldSelector: `metadata.name=${this.#name}` }), {
      changed: (_key, { metadata, status }, gone) => {
        this.#seen(gone ? undefined : status);
        const asks = !gone && metadata.annotations?.[MEASURE_AGAIN] !== undefined;
        if (asks && !this.#asks) options.asked();
        this.#asks = asks;
      },
      failed: options.failed,
    });
  }

  start(): void {
    this.#informer.start();
  }

  stop(): Promise<void> {
    return this.#informer.stop();
  }

  /** Whether the device was measured over the whole catalogue. */
  get complete(): boolean {
    return this.#profile !== undefined;
  }

  set profile(profile: Profile) {
    this.#profile = profile;
  }

  /** Publishes what the device was measured to do; while that is not known yet, at least that there is a device. */
  async publish(): Promise<void> {
    const profile = this.#profile;
    const name = this.#name;
    // An earlier measurement stands until there is a newer one.
    if (profile === undefined && this.#published === undefined && (await this.#api.get(name)) !== undefined) return;
    if (profile !== undefined && profile === this.#published) return;
    const { node: nodeName, device } = this.#options;
    const head = { metadata: { name, ownerReferences: await this.#owner() }, spec: { nodeName, device } };
    await this.#api.apply(head as unknown as Profile, FIELD_MANAGER);
    const status = profile?.status ?? { conditions: [withTransition(PROFILING, [], timestamp())] };
    await this.#api.applyStatus({ metadata: { name }, status } as unknown as Profile, FIELD_MANAGER);
    this.#published = profile ?? null;
  }

  /** The device was measured again, as somebody had asked. */
  async answered(): Promise<void> {
    try {
      await this.#api.merge({ name: this.#name }, { metadata: { annotations: { [MEASURE_AGAIN]: null } } });
    } catch (error) {
      if (statusOf(error) !== 404) throw error; // what was asked went with the profile
    }
  }

  get #name(): string {
    return `${this.#options.node}-${this.#options.device}`;
  }

  /** A profile that somebody else deletes or changes is published again. */
  #seen(status: Profile['status']): void {
    if (!this.#published || isDeepStrictEqual(status, asJson(this.#published.status))) return;
    this.#published = undefined;
    this.#options.spoiled();
  }

  /** The Node as it is now: one that was made anew has another identity, and what the old one owned is collected. */
  async #owner(): Promise<object[]> {
    const { node } = this.#options;
    const found = await this.#nodes.get(node);
    if (found === undefined)
      throw new Error(`there is no Node "${node}"; give the name of this machine's with --node-name`);
    return [{ apiVersion: 'v1', kind: 'Node', name: node, uid: found.metadata.uid }];
  }
}

/** As the API server has it: without what is undefined. */
const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null));
