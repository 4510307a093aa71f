import type { FrameHead, Stages } from '../../api/frames.js';
import { MARGIN, USUAL } from './profile.js';

/** How long figures must have been wrong: what passes within seconds takes nobody's promise away; what was too large may wait longer. */
const RAISED_AFTER_US = 15_000_000;
const LOWERED_AFTER_US = 30_000_000;
/** A figure that is off by less than this factor is left alone. */
const WORTH_RAISING = 1.5;
const WORTH_LOWERING = 0.6;
const ENOUGH_IMAGES = 100;
const MOST_IMAGES = 1000;
/** Windows of the event loop that are looked at, and the least share of one that frames must take for it to tell. */
const LOOP_WINDOW_US = 2_500_000;
const TELLING_SHARE = 0.1;

type ImageForm = Stages['decode'][number]['form'];

/** Compares what live frames take of the stages with what was measured. Pure but for what it is told. */
export class StageWatch {
  readonly #images = new Map<ImageForm, { readonly sinceUs: number; readonly ratios: number[] }>();
  #windows: { readonly atUs: number; readonly ratio: number }[] = [];
  #expectedUs = 0;
  #loop: { readonly atUs: number; readonly activeUs: number } | undefined;

  /** A frame was decoded in `us` microseconds instead of `expectedUs`. */
  decoded({ form }: FrameHead, us: number, expectedUs: number, atUs: number): void {
    if (form === 'Tensor' || expectedUs <= 0) return;
    const seen = this.#images.get(form) ?? { sinceUs: atUs, ratios: [] };
    this.#images.set(form, seen);
    seen.ratios.push(us / expectedUs);
    if (seen.ratios.length > MOST_IMAGES) seen.ratios.splice(0, MOST_IMAGES / 10);
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

  #decodeFactor(form: ImageForm, atUs: number): number {
    const { sinceUs = atUs, ratios = [] } = this.#images.get(form) ?? {};
    if (ratios.length < ENOUGH_IMAGES) return 1;
    // As it was measured: what most frames take, and the margin.
    const usual = MARGIN * [...ratios].sort((a, b) => a - b)[Math.floor(USUAL * ratios.length)]!;
    const lasted = atUs - sinceUs;
    const wrong =
      (usual > WORTH_RAISING && lasted >= RAISED_AFTER_US) || (usual < WORTH_LOWERING && lasted >= LOWERED_AFTER_US);
    if (wrong) this.#images.delete(form);
    return wrong ? usual : 1;
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

function scaled<F extends object>(figures: F, factor: number): F {
  const entries = Object.entries(figures).map(([name, value]: [string, unknown]) => [
    name,
    typeof value === 'number' ? Math.round(100 * factor * value) / 100 : value,
  ]);
  return Object.fromEntries(entries) as F;
}
