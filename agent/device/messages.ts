import type { Job } from '../../sched/ready.js';
import type { WcetPoint } from '../../sched/wcet.js';

/** What the main thread and a device's thread say to each other. Frames' bytes travel in shared memory. */

export type Provider = 'cpu' | 'webgpu' | 'cuda';
export type ElementType = 'float32' | 'uint8';

export interface DeviceOptions {
  readonly provider: Provider;
  /** Threads that one run may use (CPU provider). */
  readonly threads: number;
}

/** A model as the device's thread needs it. */
export interface LoadedModel {
  readonly name: string;
  readonly path: string;
  readonly inputName: string;
  readonly elementType: ElementType;
  readonly layout: 'NCHW' | 'NHWC';
}

/** One (model, input shape) that frames can be sent to. `dims` are a frame's axes in the network's own order. */
export interface ModelInput {
  readonly model: string;
  readonly dims: readonly number[];
}

export interface ProgramCategory extends ModelInput {
  readonly name: string;
  readonly class: 'RealTime' | 'BestEffort';
  readonly points: readonly WcetPoint[];
  readonly overheadUs: number;
  readonly windowUs: number;
  readonly windowOffsetUs: number;
  readonly relativeDeadlineUs: number;
}

/** A schedule as one device's thread needs it. */
export interface Program {
  readonly categories: readonly ProgramCategory[];
  readonly bestEffortUs: number;
}

export interface OutputTensor {
  readonly name: string;
  readonly type: string;
  /** Of the batch; the first axis counts frames. */
  readonly dims: readonly number[];
  readonly data:
    | Float32Array<ArrayBuffer>
    | Uint8Array<ArrayBuffer>
    | Int32Array<ArrayBuffer>
    | BigInt64Array<ArrayBuffer>
    | Float64Array<ArrayBuffer>;
}

export type ToDevice =
  | { readonly kind: 'load'; readonly request: number; readonly model: LoadedModel }
  | { readonly kind: 'pool'; readonly pool: number; readonly memory: SharedArrayBuffer; readonly slotBytes: number }
  | { readonly kind: 'program'; readonly request: number; readonly program: Program }
  | { readonly kind: 'measure'; readonly request: number; readonly input: ModelInput; readonly batch: number }
  | { readonly kind: 'wake'; readonly request: number; readonly afterUs: number }
  | FrameMessage
  | { readonly kind: 'stop' };

export interface FrameMessage {
  readonly kind: 'frame';
  readonly id: number;
  readonly category: string;
  readonly pool: number;
  readonly slot: number;
  /** When it was ready for its window. */
  readonly atUs: number;
}

/** A run of one batch; a job above the largest measured batch has several. */
export interface BatchDone {
  readonly kind: 'done';
  readonly category: string;
  readonly ids: readonly number[];
  readonly startUs: number;
  readonly endUs: number;
  readonly outputs: readonly OutputTensor[];
  readonly error?: string;
}

/** A whole job, for the books. */
export interface JobDone {
  readonly kind: 'job';
  readonly category: string;
  readonly jobKind: Job<unknown>['kind'];
  readonly frames: number;
  readonly releaseUs: number;
  readonly startUs: number;
  readonly endUs: number;
  readonly wcetUs: number;
  /** How long after the instant it was meant to start the device was still idle; absent when it was not. */
  readonly lateStartUs?: number;
}

export type FromDevice =
  | { readonly kind: 'ready' }
  | { readonly kind: 'answer'; readonly request: number; readonly value: unknown }
  | { readonly kind: 'refused'; readonly request: number; readonly error: string }
  | { readonly kind: 'dropped'; readonly ids: readonly number[] }
  | BatchDone
  | JobDone;

/** What one measured run took. */
export interface Measured {
  readonly us: number;
  readonly outputs: readonly { readonly name: string; readonly dims: readonly number[] }[];
  readonly rssBytes: number;
}
