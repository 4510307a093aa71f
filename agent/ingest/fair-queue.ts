/** Work that somebody waits for. */
export interface Work {
  /** Who wants it. */
  readonly tenant: string;
  /** What it is expected to take, in microseconds. */
  readonly costUs: number;
}

interface Waiting<J> {
  readonly jobs: J[];
  /** The virtual time at which what its tenant was served so far ends. */
  finishUs: number;
}

/**
 * Work of tenants in fair turns by what it takes (start-time fair queueing, Goyal, Vin, Cheng 1996). Pure; no clock.
 */
export class FairQueue<J extends Work> {
  readonly #tenants = new Map<string, Waiting<J>>();
  #virtualUs = 0;

  push(job: J): void {
    const waiting = this.#tenants.get(job.tenant) ?? { jobs: [], finishUs: this.#virtualUs };
    waiting.jobs.push(job);
    this.#tenants.set(job.tenant, waiting);
  }

  next(): J | undefined {
    let least: Waiting<J> | undefined;
    for (const waiting of this.#tenants.values())
      if (waiting.jobs.length > 0 && (least === undefined || waiting.finishUs < least.finishUs)) least = waiting;
    const job = least?.jobs.shift();
    if (least === undefined || job === undefined) return undefined;
    const startUs = Math.max(this.#virtualUs, least.finishUs);
    this.#virtualUs = startUs;
    least.finishUs = startUs + job.costUs;
    // Who waits for nothing and is owed nothing is forgotten.
    for (const [tenant, { jobs, finishUs }] of this.#tenants)
      if (jobs.length === 0 && finishUs <= this.#virtualUs) this.#tenants.delete(tenant);
    return job;
  }
}
