import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { OUTCOMES } from './tenant.js';

/** All that an agent exports. Base units; labels are bounded by the tenants and categories that were admitted. */
export class AgentMetrics {
  readonly registry = new Registry();

  readonly frames = this.#counter('deeprt_frames_total', 'Frames by outcome.', ['namespace', 'tenant', 'outcome']);
  readonly misses = this.#counter(
    'deeprt_deadline_misses_total',
    'Promised frames answered after their deadline, or given up because of it.',
    ['namespace', 'tenant'],
  );
  readonly spareFrames = this.#counter(
    'deeprt_spare_frames_total',
    'Frames beyond what was promised, by outcome; deeprt_frames_total counts them too.',
    ['namespace', 'tenant', 'outcome'],
  );
  readonly refusals = this.#counter(
    'deeprt_refused_frames_total',
    'Frames that were not answered, by the code that their senders were told (docs/clients.md).',
    ['namespace', 'tenant', 'code'],
  );
  readonly lateFrames = this.#counter(
    'deeprt_late_frames_total',
    'Promised frames that were late or given up, by what held them up.',
    ['device', 'cause'],
  );
  readonly senderRefusals = this.#counter(
    'deeprt_sender_refusals_total',
    'Requests of senders who may not, by why; enforced says whether they were refused, or only counted.',
    ['code', 'enforced'],
  );
  readonly connectionsClosed = this.#counter(
    'deeprt_connections_closed_total',
    'Connections that were closed because there were too many, of one address or of all.',
    ['reason'],
  );
  readonly latency = this.#histogram(
    'deeprt_frame_latency_seconds',
    'From the arrival of a frame to its answer.',
    ['namespace', 'tenant'],
    [0.001, 0.0025, 0.005, 0.01, 0.02, 0.033, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5],
  );
  readonly ingest = this.#histogram(
    'deeprt_ingest_seconds',
    'From the arrival of a frame to its being ready for the device.',
    [],
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1],
  );
  readonly stageShare = this.#gauge(
    'deeprt_stage_promised_ratio',
    'Share of the event loop (receive) and of the decode workers (decode) that promised frames take.',
    ['device', 'stage'],
  );
  readonly jobDuration = this.#histogram(
    'deeprt_job_duration_seconds',
    'Execution time of a job.',
    ['device', 'category', 'kind'],
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
  );
  readonly batchSize = this.#histogram(
    'deeprt_batch_size',
    'Frames in a job.',
    ['device', 'category', 'kind'],
    [1, 2, 4, 8, 16, 32, 64, 128, 256],
  );
  readonly overruns = this.#counter('deeprt_overruns_total', 'Jobs that took longer than their WCET.', [
    'device',
    'category',
  ]);
  readonly degraded = this.#counter('deeprt_degraded_frames_total', 'Frames computed at a smaller shape.', [
    'namespace',
    'tenant',
  ]);
  readonly penalty = this.#gauge('deeprt_penalty_seconds', 'Excess of a category that is not paid off yet.', [
    'device',
    'category',
  ]);
  readonly rung = this.#gauge(
    'deeprt_degradation_rung',
    'How many shapes below the full one a category is to be computed at.',
    ['device', 'category'],
  );
  readonly deviceLosses = this.#counter('deeprt_device_losses_total', 'Times that a device had to be replaced.', [
    'device',
    'fault',
  ]);
  readonly busy = this.#counter('deeprt_device_busy_seconds_total', 'Time the device spent on jobs.', ['device']);
  readonly admittedUtilization = this.#gauge(
    'deeprt_admitted_utilization_ratio',
    'Share of a device that was promised.',
    ['node', 'device'],
  );
  readonly queueDepth = this.#gauge('deeprt_queue_depth', 'Frames that wait for the device or run on it.', [
    'device',
    'category',
  ]);

  readonly runMedianRatio = this.#gauge(
    'deeprt_run_median_ratio',
    'Duration of the runs of the last seconds as a multiple of the profiled median: their median.',
    ['device', 'category'],
  );
  readonly runWcetRatio = this.#gauge(
    'deeprt_run_wcet_ratio',
    'Duration of the runs of the last seconds as a multiple of the WCET: their 95th percentile.',
    ['device', 'category'],
  );
  readonly tenantStreams = this.#gauge('deeprt_tenant_streams', 'Streams of a tenant that a device serves.', [
    'namespace',
    'tenant',
    'device',
  ]);
  readonly tenantRate = this.#gauge(
    'deeprt_tenant_frames_per_second',
    'Frames per second of a tenant that a device was promised for.',
    ['namespace', 'tenant', 'device'],
  );
  readonly tenantDeadline = this.#gauge(
    'deeprt_tenant_deadline_seconds',
    'Longest time from the arrival of a frame to its answer.',
    ['namespace', 'tenant', 'device'],
  );
  readonly gap = this.#gauge(
    'deeprt_category_gap_seconds',
    'From one visit of a category to the next at most, while promised frames wait.',
    ['device', 'category'],
  );
  readonly deviceReady = this.#gauge('deeprt_device_ready', '1 while the device runs jobs.', ['device']);
  readonly profileStale = this.#gauge('deeprt_profile_stale', '1 while the device does not do what was measured.', [
    'device',
  ]);
  readonly memory = this.#gauge('deeprt_device_memory_bytes', 'Memory of a device that models take, and may take.', [
    'device',
    'kind',
  ]);

  /** The codes that anybody was refused with. */
  readonly #codes = new Set<string>();

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  refused(namespace: string, tenant: string, code: string): void {
    this.#codes.add(code);
    this.refusals.inc({ namespace, tenant, code });
  }

  /** Nothing is told any more of a tenant that has left. */
  forget(namespace: string, tenant: string): void {
    for (const counter of [this.frames, this.spareFrames])
      for (const outcome of OUTCOMES) counter.remove({ namespace, tenant, outcome });
    for (const code of this.#codes) this.refusals.remove({ namespace, tenant, code });
    for (const metric of [this.misses, this.degraded, this.latency]) metric.remove({ namespace, tenant });
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[]): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #gauge<L extends string>(name: string, help: string, labelNames: L[]): Gauge<L> {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }

  #histogram<L extends string>(name: string, help: string, labelNames: L[], buckets: number[]): Histogram<L> {
    return new Histogram({ name, help, labelNames, buckets, registers: [this.registry] });
  }
}
