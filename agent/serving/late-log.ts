import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from '../../kube/log.js';
import { writeWhole } from '../disk/whole-file.js';
import type { LateFrame } from './late-frames.js';

/** The last so many records of a device are kept. */
export const MOST_RECORDS = 512;

/**
 * The records of a device's late frames on the node's disk, a line of JSON each: what ended the agent may be why frames were late. Lines
 * are appended as they come; once there are twice as many as are kept, the file is written anew.
 */
export class LateLog {
  /** The last ones, the newest last. */
  readonly records: LateFrame[];
  readonly #file: string;
  readonly #log: Logger;
  #lines: number;
  #pending: LateFrame[] = [];
  #writing: Promise<void> | undefined;
  #failed = false;
  /** Whether this process has written. */
  #begun = false;

  private constructor(file: string, log: Logger, records: LateFrame[]) {
    this.#file = file;
    this.#log = log;
    this.records = records.slice(-MOST_RECORDS);
    this.#lines = records.length;
  }

  /** What was kept; lines that were cut are left out. */
  static async open(file: string, log: Logger): Promise<LateLog> {
    const text = await readFile(file, 'utf8').catch(() => '');
    return new LateLog(file, log, text.split('\n').flatMap(recordsIn));
  }

  add(record: LateFrame): void {
    for (const list of [this.records, this.#pending]) {
      list.push(record);
      if (list.length > MOST_RECORDS) list.shift();
    }
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Resolves when all is written. */
  async close(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#pending.length > 0) {
      const [batch, rewrite] = [this.#pending, this.#lines >= 2 * MOST_RECORDS];
      this.#pending = [];
      const written = rewrite ? this.records : batch;
      const text = written.map((record) => `${JSON.stringify(record)}\n`).join('');
      try {
        if (rewrite) await writeWhole(this.#file, text);
        else await this.#append(text);
        this.#lines = (rewrite ? 0 : this.#lines) + written.length;
        this.#failed = false;
      } catch (error) {
        if (!this.#failed) this.#log.warn({ error: (error as Error).message }, 'records of late frames are not kept');
        this.#failed = true;
      }
    }
  }

  async #append(text: string): Promise<void> {
    await mkdir(dirname(this.#file), { recursive: true });
    // What a crash may have cut stays on a line of its own.
    await appendFile(this.#file, this.#begun ? text : `\n${text}`);
    this.#begun = true;
  }
}

function recordsIn(line: string): LateFrame[] {
  try {
    const record = JSON.parse(line) as LateFrame;
    return typeof record.tenant === 'string' && Array.isArray(record.runs) ? [record] : [];
  } catch {
    return [];
  }
}
