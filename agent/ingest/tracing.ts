import type { TimeInput } from '@opentelemetry/api';
import { VERSION } from '../../api/version.js';
import { nowUs, wallSeconds } from '../../kube/clock.js';
import type { Outcome } from '../serving/tenant.js';
import { tracingSettings } from './tracing-settings.js';

/** What became of a frame, and when it came how far, in microseconds of the monotonic clock; undefined: not so far. */
export interface TracedFrame {
  /** W3C Trace Context, as its sender gave it. */
  readonly parent: TraceHeaders;
  readonly tenant: string;
  readonly category: string;
  readonly deadlineUs: number;
  readonly promised: boolean | undefined;
  readonly outcome: Outcome;
  /** The code that its sender was refused with. */
  readonly code?: string | undefined;
  readonly enteredUs: number;
  readonly arrivedUs?: number | undefined;
  readonly submittedUs?: number | undefined;
  readonly startUs?: number | undefined;
  readonly endUs?: number | undefined;
  readonly batch?: number | undefined;
}

/** https://www.w3.org/TR/trace-context/ */
export interface TraceHeaders {
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
}

/** Tells a collector what frames went through. */
export interface FrameTracer {
  /** To be called when the frame is done with. Never throws. */
  frame(frame: TracedFrame): void;
  /** Sends what is left. */
  stop(): Promise<void>;
}

/**
 * Tells traces by OTLP over HTTP as OpenTelemetry's environment variables ask for; undefined where they do not, and then nothing of
 * OpenTelemetry is loaded.
 *
 * @throws Error naming the variable that asks for what is not offered
 */
export async function tracerFrom(environment: NodeJS.ProcessEnv): Promise<FrameTracer | undefined> {
  const settings = tracingSettings(environment);
  if (settings === undefined) return undefined;
  const [{ ROOT_CONTEXT, SpanKind, SpanStatusCode, trace }, { W3CTraceContextPropagator }, sdk, resources, exporter] =
    await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/core'),
      import('@opentelemetry/sdk-trace'),
      import('@opentelemetry/resources'),
      import('@opentelemetry/exporter-trace-otlp-http'),
    ]);
  const own = resources.resourceFromAttributes({ 'service.name': 'deeprt-agent', 'service.version': VERSION });
  const root = new sdk.TraceIdRatioBasedSampler(settings.ratio);
  const provider = new sdk.TracerProvider({
    resource: own.merge(resources.detectResources({ detectors: [resources.envDetector] })),
    sampler: settings.parentBased ? new sdk.ParentBasedSampler({ root }) : root,
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter: new exporter.OTLPTraceExporter(),
        scheduledDelayMillis: settings.delayMs,
      }),
    ],
  });
  const tracer = provider.getTracer('deeprt', VERSION);
  const propagator = new W3CTraceContextPropagator();
  const carrier = {
    get: (headers: TraceHeaders, key: string) => headers[key as keyof TraceHeaders],
    keys: (headers: TraceHeaders) => Object.keys(headers),
  };
  return {
    frame: (frame) => {
      const doneUs = nowUs();
      const timeOf = wallTimeFrom(doneUs);
      const parent = propagator.extract(ROOT_CONTEXT, frame.parent, carrier);
      const span = tracer.startSpan(
        'frame',
        { kind: SpanKind.SERVER, startTime: timeOf(frame.enteredUs), attributes: attributesOf(frame) },
        parent,
      );
      if (span.isRecording()) {
        const context = trace.setSpan(ROOT_CONTEXT, span);
        for (const [name, fromUs, toUs] of stagesOf(frame, doneUs))
          tracer.startSpan(name, { startTime: timeOf(fromUs) }, context).end(timeOf(toUs));
        if (frame.outcome !== 'onTime')
          span.setStatus({ code: SpanStatusCode.ERROR, message: frame.code ?? frame.outcome });
      }
      span.end(timeOf(doneUs));
    },
    stop: () => provider.shutdown(),
  };
}

/** Instants of the monotonic clock as the wall clock has them. */
function wallTimeFrom(doneUs: number): (us: number) => TimeInput {
  const offsetUs = Math.round(1e6 * wallSeconds()) - doneUs;
  return (us) => {
    const at = us + offsetUs;
    return [Math.floor(at / 1e6), 1000 * (at % 1e6)];
  };
}

const attributesOf = (frame: TracedFrame): Record<string, string | number | boolean> => ({
  'deeprt.tenant': frame.tenant,
  'deeprt.category': frame.category,
  'deeprt.outcome': frame.outcome,
  ...(frame.promised === undefined ? {} : { 'deeprt.promised': frame.promised }),
  ...(frame.deadlineUs === Infinity ? {} : { 'deeprt.deadline_us': frame.deadlineUs }),
  ...(frame.code === undefined ? {} : { 'deeprt.code': frame.code }),
  ...(frame.batch === undefined ? {} : { 'deeprt.batch': frame.batch }),
});

/** Its stages, as far as it came. */
function stagesOf(
  { enteredUs, arrivedUs, submittedUs, startUs, endUs }: TracedFrame,
  doneUs: number,
): [name: string, fromUs: number, toUs: number][] {
  const marks = [enteredUs, arrivedUs, submittedUs, startUs, endUs, doneUs];
  return ['receive', 'decode', 'wait', 'run', 'answer'].flatMap((name, i) => {
    const [from, to] = [marks[i], marks[i + 1]];
    return from === undefined || to === undefined || to < from ? [] : [[name, from, to] as [string, number, number]];
  });
}
