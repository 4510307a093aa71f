import type { FrameHead, Stages } from '../../api/frames.js';
import { MARGIN, USUAL } from './profile.js';

/** How long figures must have been wrong: what passes within seconds takes nobody's promise away; what was too large may wait longer. */
const RAISED_AFTER_US = 15_000_000;
const LOWERED_AFTER_US = 30_000_000;
/** A figure that is off by less than this factor is left alone. */
const WORTH_RAISING = 1.5;
const WORTH_LOWERING = 0.6;
const ENOUGH_IMAGES = 100;
/** Fewer of a tenant tell nothing, and no more than these are kept of it. */
const TELLING_IMAGES = 20;
const MOST_IMAGES = 200;
/** Whoever has not sent for so long says nothing of today. */
const FORGOTTEN_AFTER_US = 60_000_000;
/** Windows of the event loop that are looked at, and the least share of one that frames must take for it to tell. */
const LOOP_WINDOW_US = 2_500_000;
const TELLING_SHARE = 0.1;

type ImageForm = Stages['decode'][number]['form'];

/** Who sent a frame, and whether it was one of those promised. */
export interface Whose {
  readonly tenant: string;
  readonly promised: boolean;
}

/** By how many times a tenant's images took as long as expected. */
interface Ratios {
  readonly all: number[];
  readonly promised: number[];
  lastUs: number;
}

/** Compares what live frames take of the stages with what was measured. Pure but for what it is told. */
export class StageWatch {
  readonly #images = new Map<ImageForm, { readonly sinceUs: number; readonly tenants: Map<string, Ratios> }>();
  #windows: { readonly atUs: number; readonly ratio: number }[] = [];
  #expectedUs = 0;
  #loop: { readonly atUs: number; readonly activeUs: number } | undefined;

  /** A frame was decoded in `us` microseconds instead of `expectedUs`. */
  decoded({ form }: FrameHead, us: number, expectedUs: number, { tenant, promised }: Whose, atUs: number): void {
    if (form === 'Tensor' || expectedUs <= 0) return;
    const seen = this.#images.get(form) ?? { sinceUs: atUs, tenants: new Map<string, Ratios>() };
    this.#images.set(form, seen);
    const ratios = seen.tenants.get(tenant) ?? { all: [], promised: [], lastUs: atUs };
    seen.tenants.set(tenant, ratios);
    ratios.lastUs = atUs;
    for (const list of promised ? [ratios.all, ratios.promised] : [ratios.all]) {
      list.push(us / expectedUs);
      if (list.length > MOST_IMAGES) list.splice(0, MOST_IMAGES / 10);
    }
  }

  /** The event loop had work that was expected to take so long. */
  handled(expectedUs: number): void {
    this.#expectedUs += expectedUs;
  }

  /**
   * The figures with those that live frames have shown to be wrong put right; undefined when there are none.
   *
   * @param activeUs the processor time that the event loop's thread has taken in all
   */
  corrected(stages: Stages, activeUs: number, atUs: number): Stages | undefined {
    const loop = this.#loopFactor(activeUs, atUs);
    const decode = stages.decode.map((figure) => {
      const factor = this.#decodeFactor(figure.form, atUs);
      return factor === 1 ? figure : scaled(figure, factor);
    });
    const changed = loop !== 1 || decode.some((figure, i) => figure !== stages.decode[i]);
    if (!changed) return undefined;
    const scale = <F extends { perFrameUs: number; perKiBUs: number }>(figures: readonly F[]): F[] =>
      figures.map((figure) => scaled(figure, loop));
    return { ...stages, decode, receive: scale(stages.receive), answer: scale(stages.answer) };
  }

  /**
   * Figures hold for everybody, so that no tenant's pictures may move them for others: they rise where the promised frames of
   * most tenants show it, and fall where those of all do.
   */
  #decodeFactor(form: ImageForm, atUs: number): number {
    const { sinceUs = atUs, tenants = new Map<string, Ratios>() } = this.#images.get(form) ?? {};
    for (const [tenant, { lastUs }] of tenants) if (atUs - lastUs > FORGOTTEN_AFTER_US) tenants.delete(tenant);
    const seen = [...tenants.values()];
    if (seen.reduce((sum, { all }) => sum + all.length, 0) < ENOUGH_IMAGES) return 1;
    const promised = usuals(seen.map((each) => each.promised));
    const raised = promised[(promised.length - 1) >> 1] ?? 1;
    const lowered = usuals(seen.map(({ all }) => all)).at(-1) ?? 1;
    const lasted = atUs - sinceUs;
    const wrong =
      raised > WORTH_RAISING && lasted >= RAISED_AFTER_US
        ? raised
        : lowered < WORTH_LOWERING && lasted >= LOWERED_AFTER_US
          ? lowered
          : 1;
    if (wrong !== 1) this.#images.delete(form);
    return wrong;
  }

  #loopFactor(activeUs: number, atUs: number): number {
    const before = this.#loop;
    if (before !== undefined && atUs - before.atUs < LOOP_WINDOW_US) return 1;
    const expectedUs = this.#expectedUs;
    this.#expectedUs = 0;
    this.#loop = { atUs, activeUs };
    if (before === undefined) return 1;
    if (expectedUs < TELLING_SHARE * (atUs - before.atUs)) this.#windows = [];
    else this.#windows.push({ atUs: before.atUs, ratio: (activeUs - before.activeUs) / expectedUs });
    const [first] = this.#windows;
    if (first === undefined) return 1;
    const lasted = atUs - first.atUs;
    const ratios = this.#windows.map(({ ratio }) => ratio).sort((a, b) => a - b);
    const usual = ratios[ratios.length >> 1]!;
    const wrong =
      (usual > WORTH_RAISING && lasted >= RAISED_AFTER_US) || (usual < WORTH_LOWERING && lasted >= LOWERED_AFTER_US);
    if (wrong) this.#windows = [];
    else if (lasted >= LOWERED_AFTER_US) this.#windows.shift();
    return wrong ? usual : 1;
  }
}

/** Of those who have sent enough to tell, as it was measured: what most of their frames take, and the margin; the least first. */
const usuals = (all: readonly (readonly number[])[]): number[] =>
  all
    .filter(({ length }) => length >= TELLING_IMAGES)
    .map((ratios) => MARGIN * [...ratios].sort((a, b) => a - b)[Math.floor(USUAL * ratios.length)]!)
    .sort((a, b) => a - b);

function scaled<F extends object>(figures: F, factor: number): F {
  const entries = Object.entries(figures).map(([name, value]: [string, unknown]) => [
    name,
    typeof value === 'number' ? Math.round(100 * factor * value) / 100 : value,
  ]);
  return Object.fromEntries(entries) as F;
}
