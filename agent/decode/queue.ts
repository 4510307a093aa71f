/** What a stage that takes frames one by one must know of one. */
export interface Queued {
  /** Who sent it. */
  readonly tenant: string;
  readonly promised: boolean;
  /** When it is to be done; Infinity: whenever. */
  readonly dueUs: number;
  /** What it is expected to take. */
  readonly costUs: number;
}

interface Waiting<J> {
  readonly jobs: J[];
  /** Start-time fair queueing: the virtual time at which what its tenant was served so far ends. */
  finishUs: number;
}

/**
 * Frames that wait for a worker: promised ones by deadline (docs/theory.md, Theorem 7), spare ones fairly among tenants by
 * what they take (start-time fair queueing, Goyal, Vin, Cheng 1996). Pure; no clock.
 */
export class DecodeQueue<J extends Queued> {
  /** By deadline, the most urgent last. */
  readonly #promised: J[] = [];
  readonly #spare = new Map<string, Waiting<J>>();
  #virtualUs = 0;

  push(job: J): void {
    if (!job.promised) {
      const waiting = this.#spare.get(job.tenant) ?? { jobs: [], finishUs: this.#virtualUs };
      waiting.jobs.push(job);
      this.#spare.set(job.tenant, waiting);
      return;
    }
    let [low, high] = [0, this.#promised.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#promised[middle]!.dueUs > job.dueUs) low = middle + 1;
      else high = middle;
    }
    this.#promised.splice(low, 0, job);
  }

  nextPromised(): J | undefined {
    return this.#promised.pop();
  }

  nextSpare(): J | undefined {
    let least: Waiting<J> | undefined;
    for (const waiting of this.#spare.values())
      if (waiting.jobs.length > 0 && (least === undefined || waiting.finishUs < least.finishUs)) least = waiting;
    const job = least?.jobs.shift();
    if (least === undefined || job === undefined) return undefined;
    const startUs = Math.max(this.#virtualUs, least.finishUs);
    this.#virtualUs = startUs;
    least.finishUs = startUs + job.costUs;
    // Who waits for nothing and is owed nothing is forgotten.
    for (const [tenant, { jobs, finishUs }] of this.#spare)
      if (jobs.length === 0 && finishUs <= this.#virtualUs) this.#spare.delete(tenant);
    return job;
  }
}
