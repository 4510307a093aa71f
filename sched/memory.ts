/** What a model takes on a device, in bytes, as measured. */
export interface ModelMemory {
  /** Once it is loaded. */
  readonly weightsBytes: number;
  /** On top of that, once batches of the largest measured size have run, by input shape. */
  readonly workspaceBytes: ReadonlyMap<string, number>;
}

/** How a shape is named in `workspaceBytes`. */
export const shapeKey = (shape: readonly number[]): string => shape.join('x');

/** What a model takes that serves these shapes: runs use the memory of earlier ones again, so the largest counts. */
export function modelBytes({ weightsBytes, workspaceBytes }: ModelMemory, shapes: Iterable<readonly number[]>): number {
  let largest = 0;
  for (const shape of shapes) largest = Math.max(largest, workspaceBytes.get(shapeKey(shape)) ?? 0);
  return weightsBytes + largest;
}

/** What a profile tells of memory. */
interface ProfiledMemory {
  readonly models?: readonly { readonly name: string; readonly memoryBytes?: number }[];
  readonly categories?: readonly {
    readonly model: string;
    readonly shape: readonly number[];
    readonly batches: readonly { readonly memoryBytes?: number }[];
  }[];
}

/** What each model of a profile takes; models that may run batches of any measured size. */
export function profiledMemory({ models = [], categories = [] }: ProfiledMemory): Map<string, ModelMemory> {
  return new Map(
    models.map(({ name, memoryBytes = 0 }) => {
      const own = categories.filter(({ model }) => model === name);
      const workspaceBytes = own.map(({ shape, batches }): [string, number] => [
        shapeKey(shape),
        batches.at(-1)?.memoryBytes ?? 0,
      ]);
      return [name, { weightsBytes: memoryBytes, workspaceBytes: new Map(workspaceBytes) }];
    }),
  );
}

/** What the models take together that serve these shapes; by model. Nothing is known of those that are missing. */
export function memoryFor(
  memory: ReadonlyMap<string, ModelMemory>,
  served: readonly { readonly model: string; readonly shape: readonly number[] }[],
): Map<string, number> {
  const shapes = new Map<string, (readonly number[])[]>();
  for (const { model, shape } of served) shapes.set(model, [...(shapes.get(model) ?? []), shape]);
  return new Map(
    [...shapes].flatMap(([model, all]) => {
      const known = memory.get(model);
      return known === undefined ? [] : [[model, modelBytes(known, all)]];
    }),
  );
}

export const total = (bytes: ReadonlyMap<string, number>): number =>
  [...bytes.values()].reduce((sum, each) => sum + each, 0);

/** A model on a device. */
export interface Resident {
  readonly name: string;
  readonly bytes: number;
  /** Whether somebody was promised to be served with it. */
  readonly promised: boolean;
  /** When somebody was last; larger is later, 0 never. */
  readonly lastPromised: number;
}

/**
 * Which models to unload so that `bytes` more fit: of those that nobody was promised, the least recently promised first.
 *
 * @returns undefined when not even all of them would do
 */
export function toUnload(residents: readonly Resident[], bytes: number, limitBytes: number): string[] | undefined {
  let freeBytes = limitBytes - residents.reduce((sum, resident) => sum + resident.bytes, 0);
  const going: string[] = [];
  const idle = residents.filter(({ promised }) => !promised).sort((a, b) => a.lastPromised - b.lastPromised);
  for (const resident of idle) {
    if (freeBytes >= bytes) break;
    going.push(resident.name);
    freeBytes += resident.bytes;
  }
  return freeBytes >= bytes ? going : undefined;
}
