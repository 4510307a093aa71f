import type { ScheduleObject } from './objects.js';

/** When agents reported last, by this clock, not by the node's, which may be wrong. */
export class Reports {
  readonly #silenceMs: number;
  readonly #changed: () => void;
  readonly #seen = new Map<string, { reportedAt: string; seenMs: number }>();
  /** Which devices agents said they have. */
  readonly #devices = new Map<string, string | undefined>();

  /**
   * @param silenceMs how long an agent may say nothing before it is not believed to serve
   * @param changed is called when an agent has other devices, or reports again
   */
  constructor(silenceMs: number, changed: () => void) {
    this.#silenceMs = silenceMs;
    this.#changed = changed;
  }

  heard(node: string, { status }: ScheduleObject): void {
    const devices = JSON.stringify(status?.devices?.map(({ device }) => device));
    if (this.#devices.get(node) !== devices) {
      this.#devices.set(node, devices);
      this.#changed();
    }
    const reportedAt = status?.reportedAt;
    if (reportedAt === undefined || this.#seen.get(node)?.reportedAt === reportedAt) return;
    if (this.isSilent(node) === true) this.#changed(); // it may take tenants again
    this.#seen.set(node, { reportedAt, seenMs: performance.now() });
  }

  forget(node: string): void {
    this.#seen.delete(node);
    this.#devices.delete(node);
  }

  /** Whether the node's agent has not been heard of for too long; undefined when it never was. */
  isSilent(node: string): boolean | undefined {
    const report = this.#seen.get(node);
    return report === undefined ? undefined : performance.now() - report.seenMs > this.#silenceMs;
  }

  /** Seconds since the node's agent was heard of; undefined when it never was. */
  ageS(node: string): number | undefined {
    const report = this.#seen.get(node);
    return report === undefined ? undefined : Math.round((performance.now() - report.seenMs) / 1000);
  }
}
