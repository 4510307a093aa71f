import type { ProgramCategory, Ran } from '../device/messages.js';
import { latencyUs } from './flights.js';
import type { Ended } from './late-frames.js';
import { CAUSES } from './late-frames.js';
import type { AgentMetrics } from './metrics.js';
import type { ServedTenant, TenantTerms } from './tenant.js';
import { OUTCOMES } from './tenant.js';

/** One device's books: what share of its time went where, what became of frames, and the series that say so. */
export class DeviceBooks {
  busyUs = 0;
  jobs = 0;
  overruns = 0;
  /** Frames that came as promised, and those of them answered late or given up; of tenants that have left, too. */
  promisedFrames = 0;
  misses = 0;
  readonly #device: string;
  readonly #metrics: AgentMetrics;
  /** Categories whose gaps are exported. */
  #visited: string[] = [];

  constructor(index: number, metrics: AgentMetrics) {
    this.#device = `${index}`;
    this.#metrics = metrics;
  }

  /** Exports what the device is promised to. */
  promised(tenants: Iterable<ServedTenant>, categories: readonly ProgramCategory[]): void {
    const device = this.#device;
    const { tenantStreams, tenantRate, tenantDeadline, gap } = this.#metrics;
    for (const { terms } of tenants) {
      const labels = { namespace: terms.namespace, tenant: terms.name, device };
      // A counter that is not there yet looks like nothing is known.
      const own = { namespace: terms.namespace, tenant: terms.name };
      for (const outcome of OUTCOMES)
        for (const frames of [this.#metrics.frames, this.#metrics.spareFrames]) frames.inc({ ...own, outcome }, 0);
      this.#metrics.misses.inc(own, 0);
      this.#metrics.degraded.inc(own, 0);
      tenantStreams.set(labels, terms.streams);
      if (terms.promised) tenantRate.set(labels, (terms.streams * 1e6) / terms.periodUs);
      else tenantRate.remove(labels);
      if (terms.deadlineUs !== Infinity) tenantDeadline.set(labels, terms.deadlineUs / 1e6);
    }
    for (const category of this.#visited) gap.remove({ device, category });
    this.#visited = categories.filter(({ visit }) => visit !== undefined).map(({ name }) => name);
    for (const cause of CAUSES) this.#metrics.lateFrames.inc({ device, cause }, 0);
    for (const fault of ['crash', 'hang']) this.#metrics.deviceLosses.inc({ device, fault }, 0);
    for (const { name: category } of categories) this.#metrics.overruns.inc({ device, category }, 0);
    for (const { name, visit } of categories)
      if (visit !== undefined) gap.set({ device, category: name }, visit.gapUs / 1e6);
  }

  /** The tenant is not served here any more. */
  left({ namespace, name }: TenantTerms): void {
    const labels = { namespace, tenant: name, device: this.#device };
    const { tenantStreams, tenantRate, tenantDeadline } = this.#metrics;
    for (const gauge of [tenantStreams, tenantRate, tenantDeadline]) gauge.remove(labels);
  }

  /**
   * Notes what became of a frame.
   *
   * @param isServed whether its tenant still is: the series of who has left are gone, and stay so
   */
  count(tenant: ServedTenant, isServed: boolean, { outcome, code, promised, answer }: Ended): void {
    const { namespace, name } = tenant.terms;
    // Who waits for less than the deadline has not seen it missed.
    const missed = promised === true && (outcome === 'late' || outcome === 'dropped') && code !== 'TimeoutPassed';
    tenant.outcomes[outcome]++;
    if (promised === true) {
      tenant.promisedFrames++;
      this.promisedFrames++;
    }
    if (promised === false) tenant.spareFrames++;
    if (code !== undefined) tenant.refusals.set(code, (tenant.refusals.get(code) ?? 0) + 1);
    if (missed) {
      tenant.misses++;
      this.misses++;
    }
    const latency = answer && latencyUs(answer);
    if (answer !== undefined) tenant.answeredWith(answer, latency!);
    if (!isServed) return;
    const { frames, spareFrames, misses, latency: latencies } = this.#metrics;
    frames.inc({ namespace, tenant: name, outcome });
    if (code !== undefined) this.#metrics.refused(namespace, name, code);
    if (promised === false) spareFrames.inc({ namespace, tenant: name, outcome });
    if (missed) misses.inc({ namespace, tenant: name });
    if (latency !== undefined) latencies.observe({ namespace, tenant: name }, latency / 1e6);
  }

  /** Notes a batch that has run. */
  ran({ category, runKind, frames, startUs, endUs, wcetUs, penaltyUs, nextRung }: Ran): void {
    const device = this.#device;
    const labels = { device, category, kind: runKind };
    const seconds = (endUs - startUs) / 1e6;
    const { jobDuration, batchSize, busy, overruns, penalty, rung } = this.#metrics;
    this.jobs++;
    this.busyUs += endUs - startUs;
    jobDuration.observe(labels, seconds);
    batchSize.observe(labels, frames);
    busy.inc({ device }, seconds);
    if (endUs - startUs > wcetUs) {
      this.overruns++;
      overruns.inc({ device, category });
    }
    penalty.set({ device, category }, penaltyUs / 1e6);
    rung.set({ device, category }, nextRung);
  }
}
