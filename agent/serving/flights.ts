import { nowUs } from '../../kube/clock.js';
import type { FrameOffer, GivenUpBecause } from '../../sched/frame.js';
import type { OutputTensor } from '../frames.js';
import { freeOutputs } from '../frames.js';
import type { Slot } from './slots.js';
import type { ServedTenant } from './tenant.js';

/** A frame's answer: its part of a batch's outputs, and its times in microseconds. */
export interface Answer {
  readonly outputs: readonly OutputTensor[];
  readonly index: number;
  readonly arrivedUs: number;
  /** When it was handed to the device. */
  readonly submittedUs: number;
  readonly startUs: number;
  readonly endUs: number;
  readonly batch: number;
  /** Whether a device was lost with it before, and another one has answered it. */
  readonly outlived: boolean;
  /** Channels, height and width that it was computed at; smaller than asked for when degraded. */
  readonly shape: readonly number[];
  /**
   * To be called once the outputs are no longer needed. The memory of a batch is given back at once when all of its
   * frames are done: left to the garbage collector, megabytes a second of it would make for long pauses.
   */
  readonly release: () => void;
}

/** A batch's outputs, whose memory is given back when all of its frames are done with them. */
export class SharedOutputs {
  readonly #outputs: readonly OutputTensor[];
  #left: number;

  constructor(outputs: readonly OutputTensor[], frames: number) {
    this.#outputs = outputs;
    this.#left = frames;
  }

  /** One frame's share, to be given back once. */
  share(): () => void {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      if (--this.#left === 0) freeOutputs(this.#outputs);
    };
  }
}

/** The frame's latency at this instant, in microseconds. */
export function latencyUs({ arrivedUs }: Answer): number {
  return nowUs() - arrivedUs;
}

/** Why a frame was not answered. */
export class FrameFailure extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export const outOfMemory = (error: unknown): FrameFailure =>
  new FrameFailure('OutOfMemory', `no shared memory for the frame: ${(error as Error).message}; give /dev/shm more`);

/** The frame could not meet its deadline any more, or another took its place. */
export class FrameDropped extends FrameFailure {
  /** Whether it was one of those that its tenant was promised. */
  promised = false;
}

const DROPPED: Record<Exclude<GivenUpBecause, 'withdrawn'>, readonly [code: string, message: string]> = {
  late: ['DeadlinePassed', 'this frame could not meet its deadline any more, and was given up'],
  replaced: ['ReplacedByNewer', 'a newer frame of this stream took the place of this one (spec.spareFrames: Latest)'],
  full: ['SpareQueueFull', 'too many frames of this tenant wait for spare time already'],
};

/** Of frames that could be in time on no other device. */
const NOT_REPLACED = ['DeviceLost', 'the device was lost, and not replaced in time for this frame'] as const;

/** What a frame that the batcher gave up is answered. */
export const givenUp = (why: GivenUpBecause): FrameFailure =>
  why === 'withdrawn'
    ? new FrameFailure('TenantWithdrawn', 'the tenant was withdrawn')
    : new FrameDropped(...DROPPED[why]);

/** A frame on its way through the device. */
export interface Flight {
  readonly tenant: ServedTenant;
  readonly model: string;
  readonly slot: Slot;
  readonly arrivedUs: number;
  readonly submittedUs: number;
  readonly offer: Omit<FrameOffer, 'atUs'>;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: FrameFailure) => void;
}

/** A flight, what it takes the device, and whether it waits for a device to be there, and has outlived one. */
type OnItsWay = Flight & { readonly runUs: number; waits: boolean; outlived: boolean };

/** What a flight needs of the device and its tenant. */
export interface Airport {
  /** Hands a frame to the device. */
  readonly send: (id: number, flight: Flight) => void;
  /** The frame is on its way no longer, whatever became of it. */
  readonly landed: (flight: Flight) => void;
}

const SWEEP_MS = 100;
/** A frame that the device has not answered so long after its deadline, or after its arrival where it has none, is not waited for. */
const OVERDUE_US = 3_000_000;
const WITHOUT_DEADLINE_US = 15_000_000;

/**
 * Frames that were accepted and not answered yet. Each has an end that does not depend on the device; those that a lost
 * device had are handed to the next one while they can be in time.
 */
export class Flights {
  readonly #airport: Airport;
  readonly #all = new Map<number, OnItsWay>();
  readonly #sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref();
  #lastId = 0;
  #backlogUs = 0;

  constructor(airport: Airport) {
    this.#airport = airport;
  }

  get size(): number {
    return this.#all.size;
  }

  /** What all of them take the device, in microseconds, as far as is known. */
  get backlogUs(): number {
    return this.#backlogUs;
  }

  /** @param deviceIsThere whether the frame can be handed over now; it waits otherwise */
  add(flight: Flight, deviceIsThere: boolean): void {
    const id = ++this.#lastId;
    const { runUs } = flight.tenant.terms;
    this.#backlogUs += runUs;
    this.#all.set(id, { ...flight, runUs, waits: !deviceIsThere, outlived: !deviceIsThere });
    if (deviceIsThere) this.#airport.send(id, flight);
  }

  /** The flight that has ended; undefined when it had before. */
  land(id: number): OnItsWay | undefined {
    const flight = this.#all.get(id);
    if (flight === undefined || !this.#all.delete(id)) return undefined;
    this.#backlogUs -= flight.runUs;
    this.#airport.landed(flight);
    return flight;
  }

  fail(id: number, error: FrameFailure): void {
    const flight = this.land(id);
    const isLate = error.code === DROPPED.late[0] && flight?.outlived === true;
    flight?.reject(isLate ? new FrameDropped(...NOT_REPLACED) : error);
  }

  /** The device is gone with all frames that it had; they wait for the next one. */
  deviceLost(): void {
    for (const flight of this.#all.values()) {
      flight.waits = true;
      flight.outlived = true;
    }
  }

  failModel(model: string, error: FrameFailure): void {
    for (const [id, flight] of this.#all) if (flight.model === model) this.fail(id, error);
  }

  /** Another device is there. */
  deviceBack(): void {
    for (const [id, flight] of this.#all) {
      if (!flight.waits) continue;
      flight.waits = false;
      this.#airport.send(id, flight);
    }
  }

  /** Nobody is going to answer any of them. */
  failAll(error: FrameFailure): void {
    for (const id of this.#all.keys()) this.fail(id, error);
  }

  stop(error: FrameFailure): void {
    clearInterval(this.#sweeper);
    this.failAll(error);
  }

  #sweep(): void {
    const atUs = nowUs();
    for (const [id, { offer, arrivedUs, waits }] of this.#all) {
      const { dueUs } = offer;
      if (waits && atUs > dueUs) this.fail(id, new FrameDropped(...NOT_REPLACED));
      else if (atUs > (dueUs === Infinity ? arrivedUs + WITHOUT_DEADLINE_US : dueUs + OVERDUE_US))
        this.fail(id, new FrameDropped('DeviceSilent', 'the device has not answered this frame'));
    }
  }
}
