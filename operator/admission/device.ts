import type { Stages } from '../../api/frames.js';
import type { ResourceOf } from '../../api/manifests.js';
import { categoryName } from '../../api/names.js';
import type { ModelMemory } from '../../sched/memory.js';
import { profiledMemory } from '../../sched/memory.js';
import type { Promised } from '../../sched/promise.js';
import { promisedPoints } from '../../sched/promise.js';
import { WcetTable } from '../../sched/wcet.js';

/** A measured device, as placement sees it. */
export interface Device {
  readonly node: string;
  readonly device: number;
  /** E(n) by category name. */
  readonly tables: ReadonlyMap<string, WcetTable>;
  /** Why models cannot be served here, by model. */
  readonly failures: ReadonlyMap<string, string>;
  /** What models take, where that was measured. */
  readonly memoryOf: ReadonlyMap<string, ModelMemory>;
  /** What models may take together. Undefined: not known. */
  readonly memoryBytes: number | undefined;
  /** Per frame, to make the category's shape from a larger one, in microseconds. */
  readonly resizeUsOf?: ReadonlyMap<string, number>;
  readonly promise?: Promised;
  /** What frames take of the node's stages before and after the device; undefined: not known, taken to be nothing. */
  readonly stages: Stages | undefined;
  /** What a category's frames and answers take, in bytes. */
  readonly bytesOf: (category: string, shape: readonly number[]) => FrameBytes;
}

export interface FrameBytes {
  readonly frameBytes: number;
  readonly answerBytes: number;
}

/** Where no more is known: float32 in, nothing much out. */
export const bytesUnknown = (_category: string, shape: readonly number[]): FrameBytes => ({
  frameBytes: 4 * shape.reduce((product, dim) => product * dim, 1),
  answerBytes: 0,
});

export function deviceOf({ spec, status }: ResourceOf<'GPUProfile'>): Device {
  const overheadUs = status?.dispatchOverheadUs ?? 0;
  const bytes = new Map(
    (status?.categories ?? []).map(({ model, shape, frameBytes, answerBytes = 0 }) => [
      categoryName(model, shape),
      { frameBytes: frameBytes ?? bytesUnknown('', shape).frameBytes, answerBytes },
    ]),
  );
  return {
    node: spec.nodeName,
    device: spec.device,
    stages: status?.stages,
    bytesOf: (category, shape) => bytes.get(category) ?? bytesUnknown(category, shape),
    promise: status?.promise ?? 'Firm',
    failures: new Map(
      (status?.models ?? []).flatMap(({ name, ready, message }) => (ready ? [] : [[name, message ?? 'not loaded']])),
    ),
    memoryOf: profiledMemory(status ?? {}),
    memoryBytes: status?.device?.memoryBytes,
    resizeUsOf: new Map(
      (status?.categories ?? []).map(({ model, shape, resizeUs }) => [categoryName(model, shape), resizeUs ?? 0]),
    ),
    tables: new Map(
      (status?.categories ?? []).map(({ model, shape, batches }) => [
        categoryName(model, shape),
        new WcetTable(promisedPoints(batches, status?.promise), overheadUs),
      ]),
    ),
  };
}

export function deviceKey({ node, device }: { node: string; device: number }): string {
  return `${node}/${device}`;
}

/** A device that nothing was measured of. */
export const unmeasured = (node: string, device: number): Device => ({
  node,
  device,
  tables: new Map(),
  failures: new Map(),
  memoryOf: new Map(),
  memoryBytes: undefined,
  stages: undefined,
  bytesOf: bytesUnknown,
});
