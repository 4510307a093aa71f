/** What OpenTelemetry's environment variables ask for, as far as the libraries do not read them themselves. */
export interface TracingSettings {
  /** Whether whoever has a sampled parent is sampled, and whoever has one that is not is not. */
  readonly parentBased: boolean;
  /** Share of the others that are sampled, 0 to 1. */
  readonly ratio: number;
  /** How long spans may wait to be sent together, in milliseconds. */
  readonly delayMs: number;
}

const DEFAULT_SAMPLER = 'parentbased_always_on';
const DEFAULT_DELAY_MS = 5000;

/**
 * https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
 *
 * @returns undefined: nobody asks for traces
 * @throws Error naming the variable that asks for what is not offered
 */
export function tracingSettings(environment: NodeJS.ProcessEnv): TracingSettings | undefined {
  const value = (name: string): string | undefined => environment[`OTEL_${name}`]?.trim() || undefined;
  const exporter = value('TRACES_EXPORTER');
  if (value('SDK_DISABLED')?.toLowerCase() === 'true' || exporter === 'none') return undefined;
  const endpoint = value('EXPORTER_OTLP_TRACES_ENDPOINT') ?? value('EXPORTER_OTLP_ENDPOINT');
  if (exporter === undefined && endpoint === undefined) return undefined;
  if (exporter !== undefined && exporter !== 'otlp') throw notOffered('TRACES_EXPORTER', exporter, 'otlp or none');
  const protocol = value('EXPORTER_OTLP_TRACES_PROTOCOL') ?? value('EXPORTER_OTLP_PROTOCOL') ?? 'http/json';
  if (protocol !== 'http/json')
    throw notOffered('EXPORTER_OTLP_PROTOCOL', protocol, 'http/json, which every receiver of OTLP over HTTP takes');
  const sampler = value('TRACES_SAMPLER') ?? DEFAULT_SAMPLER;
  const [, parent, kind] = /^(parentbased_)?(always_on|always_off|traceidratio)$/.exec(sampler) ?? [];
  if (kind === undefined)
    throw notOffered(
      'TRACES_SAMPLER',
      sampler,
      'always_on, always_off or traceidratio, with parentbased_ before it or not',
    );
  return {
    parentBased: parent !== undefined,
    ratio: kind === 'always_on' ? 1 : kind === 'always_off' ? 0 : numberOf('TRACES_SAMPLER_ARG', value, 1, 1),
    delayMs: numberOf('BSP_SCHEDULE_DELAY', value, DEFAULT_DELAY_MS, 3_600_000),
  };
}

function numberOf(name: string, value: (name: string) => string | undefined, usual: number, most: number): number {
  const text = value(name);
  if (text === undefined) return usual;
  const number = Number(text);
  if (number >= 0 && number <= most) return number;
  throw notOffered(name, text, `a number from 0 to ${most}`);
}

const notOffered = (name: string, given: string, instead: string): Error =>
  new Error(`OTEL_${name}=${given} is not offered; give ${instead}`);
