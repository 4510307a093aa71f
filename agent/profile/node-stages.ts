import { isDeepStrictEqual } from 'node:util';
import type { Stages } from '../../api/frames.js';
import { nowUs } from '../../kube/clock.js';
import type { DeviceService } from '../serving/service.js';
import type { StagesSetup } from './measure-stages.js';
import { measureStages } from './measure-stages.js';
import { StageWatch } from './stage-watch.js';

/** What a node's stages take: measured once for all of its devices, and corrected by live frames. */
export class NodeStages {
  readonly watch = new StageWatch();
  readonly #setup: StagesSetup;
  #value: Stages | undefined;
  #measuring: Promise<Stages> | undefined;

  constructor(setup: StagesSetup) {
    this.#setup = setup;
  }

  /** The newest figures, as one object until they change. */
  get value(): Stages | undefined {
    return this.#value;
  }

  /** Takes over what was measured before, where the stages are still set up the same way and nothing newer is known. */
  adopt(stored: Stages | undefined): void {
    const { decode, sharedCore } = this.#setup;
    if (stored === undefined || stored.workers !== decode.width || stored.sharedCore !== sharedCore) return;
    this.#value ??= stored;
  }

  /** Measures where nothing is known; devices that ask at once get the same. */
  async ensure(service: DeviceService): Promise<Stages> {
    if (this.#value !== undefined) return this.#value;
    this.#measuring ??= measureStages(service, this.#setup);
    try {
      this.#value ??= await this.#measuring;
    } finally {
      this.#measuring = undefined;
    }
    return this.#value;
  }

  /** Forgets figures that were measured beside others; they are measured again when next asked for. */
  forget(): void {
    this.#value = undefined;
  }

  /** The longest that the loop was usually held by something else than frames. */
  heldUp(blockingUs: number): void {
    if (this.#value !== undefined) this.#value = { ...this.#value, blockingUs: Math.ceil(blockingUs) };
  }

  /** Lets live frames correct the figures. Returns whether they did. */
  correct(): boolean {
    if (this.#value === undefined) return false;
    const { user, system } = process.threadCpuUsage();
    const better = this.watch.corrected(this.#value, user + system, nowUs());
    if (better === undefined || isDeepStrictEqual(better, this.#value)) return false;
    this.#value = better;
    return true;
  }
}
