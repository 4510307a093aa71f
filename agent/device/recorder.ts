import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { openShared } from './frame-pool.js';

/** What a device is busy with. */
export interface Activity {
  readonly what: 'run' | 'load' | 'unload' | 'measure';
  readonly model: string;
  readonly sinceUs: number;
  /** Longer than this is a hang. */
  readonly limitUs: number;
}

const BYTES = 512;

/**
 * The device's flight recorder, in memory shared by its process and the agent: it says what the device is busy with
 * while it hangs, and what it was busy with after it crashed.
 */
export class Recorder {
  readonly path: string;
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(BYTES);

  private constructor(fd: number, path: string) {
    this.#fd = fd;
    this.path = path;
  }

  static create(): Recorder {
    const { fd, path } = openShared();
    const recorder = new Recorder(fd, path);
    recorder.note(undefined);
    return recorder;
  }

  static open(path: string): Recorder {
    return new Recorder(openSync(path, 'r+'), path);
  }

  note(activity: Activity | undefined): void {
    this.#buffer.fill(' ');
    this.#buffer.write(JSON.stringify(activity ?? null));
    writeSync(this.#fd, this.#buffer, 0, BYTES, 0);
  }

  read(): Activity | undefined {
    readSync(this.#fd, this.#buffer, 0, BYTES, 0);
    try {
      return (JSON.parse(this.#buffer.toString()) as Activity | null) ?? undefined;
    } catch {
      return undefined; // being written
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}
