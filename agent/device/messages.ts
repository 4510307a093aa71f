import type { Layout } from '../../api/names.js';
import type { Streams } from '../../sched/category.js';
import type { FrameOffer, GivenUpBecause, Run } from '../../sched/frame.js';
import type { Visit } from '../../sched/rounds.js';
import type { WcetPoint } from '../../sched/wcet.js';
import type { ExpectedInput, OutputTensor } from '../frames.js';
import type { PackedOutputs } from './outbox.js';
import type { SessionSettings } from './providers/providers.js';

/** What the agent and a device's process say to each other. Frames' bytes travel in shared memory. */

export interface DeviceOptions extends SessionSettings {
  /** How much of the device's memory may be used, in bytes; what is free at the start when absent. */
  readonly memoryBytes?: number;
  /** The cores that its runs have to themselves; any when absent. */
  readonly cores?: readonly number[];
  /** Loaded into the device's process before anything else; tests put faults into devices with it. */
  readonly preload?: string;
}

/** A model as the device's thread needs it. */
export interface LoadedModel {
  readonly name: string;
  readonly path: string;
  /** What it takes; those of the first have the dimensions that a run says. */
  readonly inputs: readonly ExpectedInput[];
  readonly layout: Layout;
  /** Whether its frames may have to be made smaller. */
  readonly resizes: boolean;
}

/** One (model, input shape) that frames can be sent to. `dims` are a frame's axes in the network's own order. */
export interface ModelInput {
  readonly model: string;
  readonly dims: readonly number[];
}

/** A shape that a category's frames can be computed at. */
export interface Rung {
  readonly dims: readonly number[];
  /** E(n), without the dispatcher's overhead but with that of making the frames smaller. */
  readonly points: readonly WcetPoint[];
}

export interface ProgramCategory {
  readonly name: string;
  readonly model: string;
  /** The shape asked for first, then those that frames may be degraded to, largest first. */
  readonly ladder: readonly Rung[];
  readonly overheadUs: number;
  /** How it is visited, where frames of it were promised. */
  readonly visit?: Visit | undefined;
  /** What was promised, by tenant. */
  readonly promised: readonly (readonly [string, Streams])[];
}

/** A schedule as one device's thread needs it. */
export interface Program {
  readonly categories: readonly ProgramCategory[];
  /** Whether the Adaptation Module is at work. */
  readonly adaptation: boolean;
}

export type ToDevice =
  | { readonly kind: 'load'; readonly request: number; readonly model: LoadedModel }
  | { readonly kind: 'unload'; readonly request: number; readonly name: string }
  | { readonly kind: 'pool'; readonly pool: number; readonly path: string; readonly slotBytes: number }
  | { readonly kind: 'poolGone'; readonly pool: number }
  | { readonly kind: 'program'; readonly request: number; readonly program: Program }
  | Measure
  /** What the batcher and the messages about a run take, beside the run. */
  | { readonly kind: 'turn'; readonly request: number }
  | { readonly kind: 'ping'; readonly request: number }
  /** Outputs were read from the outbox. */
  | { readonly kind: 'taken' }
  | FrameMessage
  | { readonly kind: 'stop' };

export interface Measure {
  readonly kind: 'measure';
  readonly request: number;
  readonly input: ModelInput;
  readonly batch: number;
  /** Measure not the run but making its frames from frames of these dimensions. */
  readonly from?: readonly number[] | undefined;
  /** Measure nothing, but compare what the frames of a batch are answered with what each of them is alone. */
  readonly compare?: boolean | undefined;
  /** Let the device idle for this long before the run, in microseconds. */
  readonly idleUs?: number | undefined;
  /** What it is likely to take, in microseconds, where that is known. */
  readonly aboutUs?: number | undefined;
  /** Takes at most about this long, in microseconds; refuse rather than take time that somebody was promised. */
  readonly slackUs?: number | undefined;
}

export interface FrameMessage {
  readonly kind: 'frame';
  readonly id: number;
  readonly pool: number;
  readonly slot: number;
  readonly offer: FrameOffer;
}

/** A run of the network; a batch above the largest measured one has several. */
export interface BatchDone {
  readonly kind: 'done';
  readonly category: string;
  readonly ids: readonly number[];
  readonly startUs: number;
  readonly endUs: number;
  readonly outputs: readonly OutputTensor[];
  /** Of a frame as it was computed. */
  readonly dims: readonly number[];
  readonly error?: string;
  /** Whether it ran by itself because a batch with it has failed. */
  readonly apart: boolean;
}

/** A whole batch, for the books. */
export interface Ran {
  readonly kind: 'ran';
  readonly category: string;
  readonly runKind: Run<unknown>['kind'];
  readonly frames: number;
  /** Of them, those that their tenants were promised. */
  readonly promised: number;
  readonly startUs: number;
  readonly endUs: number;
  readonly wcetUs: number;
  /** The rung that it ran at. */
  readonly rung: number;
  /** After it: what its category has yet to pay off, and the rung that the next one is to run at. */
  readonly penaltyUs: number;
  readonly nextRung: number;
}

export type FromDevice =
  | { readonly kind: 'ready' }
  /** The device does not work; its process ends. */
  | { readonly kind: 'unusable'; readonly error: string }
  | { readonly kind: 'answer'; readonly request: number; readonly value: unknown }
  | { readonly kind: 'refused'; readonly request: number; readonly error: string }
  | Dropped
  | (Omit<BatchDone, 'outputs'> & { readonly outputs: PackedOutputs })
  | Ran;

/** Frames that will not be run. */
export interface Dropped {
  readonly kind: 'dropped';
  readonly ids: readonly number[];
  readonly why: GivenUpBecause;
}

/** What one measured run took. */
export interface Measured {
  readonly us: number;
  readonly outputs: readonly Omit<OutputTensor, 'data'>[];
  /** Of a comparison: how a frame's answer differs in a batch. */
  readonly differs?: string;
}
