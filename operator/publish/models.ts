import { isDeepStrictEqual } from 'node:util';
import { timestamp } from '../../kube/clock.js';
import { keyOf } from '../../kube/informer.js';
import type { Objects } from '../../kube/objects.js';
import { WorkQueue } from '../../kube/work-queue.js';
import type { Decider } from '../decider.js';
import type { ModelStatus } from '../model-status.js';
import { modelStatus } from '../model-status.js';
import type { ModelObject } from '../objects.js';
import type { ClusterView } from '../view.js';
import type { Written } from './written.js';
import { newest } from './written.js';

const FIELD_MANAGER = 'deeprt-operator';
/** Keeps a model from disappearing under the tenants that it serves, as kubernetes.io/pvc-protection keeps volumes. */
const IN_USE = 'deeprt.dev/in-use';

/** Writes where models can be served, and keeps those that are in use. */
export class ModelStatuses {
  readonly queue = new WorkQueue<string>();
  readonly #view: ClusterView;
  readonly #api: Objects<ModelObject>;
  readonly #decider: Decider;
  readonly #mayWrite: () => void;
  readonly #written = new Map<string, Written<ModelStatus>>();

  constructor(view: ClusterView, api: Objects<ModelObject>, decider: Decider, mayWrite: () => void) {
    this.#view = view;
    this.#api = api;
    this.#decider = decider;
    this.#mayWrite = mayWrite;
  }

  async reconcile(name: string): Promise<void> {
    const model = this.#view.models.get(name);
    if (model === undefined) {
      this.#written.delete(name);
      return;
    }
    const users = this.#usersOf(name);
    if (await this.#hold(model, users.length > 0)) return;
    const written = this.#written.get(name);
    const previous = written === undefined ? model.status : newest(model, written);
    const status = modelStatus(model, this.#view.profiles.list(), previous, timestamp(), users);
    if (isDeepStrictEqual(previous, status)) return;
    this.#mayWrite();
    const { metadata } = await this.#api.applyStatus(
      { metadata: { name }, status } as unknown as ModelObject,
      FIELD_MANAGER,
    );
    this.#written.set(name, { status, version: metadata.resourceVersion });
  }

  /** Keys of the tenants that are served with it, or may be: who is not decided on yet may have been promised before. */
  #usersOf(name: string): string[] {
    return this.#view.tenants
      .list()
      .filter((tenant) => {
        const verdict = this.#decider.verdicts.get(keyOf(tenant));
        if (verdict === undefined) return tenant.spec.modelRef.name === name;
        return verdict.placements.some(({ category }) => category.startsWith(`${name}@`));
      })
      .map(keyOf);
  }

  /** Puts the finalizer on or takes it off; says whether the model is gone with that. */
  async #hold({ metadata }: ModelObject, used: boolean): Promise<boolean> {
    const { finalizers = [], resourceVersion, deletionTimestamp } = metadata;
    const held = finalizers.includes(IN_USE);
    if (held === used || (used && deletionTimestamp !== undefined)) return false;
    const others = finalizers.filter((each) => each !== IN_USE);
    this.#mayWrite();
    await this.#api.merge(metadata, {
      metadata: { resourceVersion, finalizers: used ? [...others, IN_USE] : others },
    });
    return deletionTimestamp !== undefined;
  }
}
