import { expect, test } from '@jest/globals';
import { tracingSettings } from './tracing-settings.js';

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };
const USUAL = { parentBased: true, ratio: 1, delayMs: 5000 };

test.each<[string, NodeJS.ProcessEnv, object | undefined]>([
  ['nothing', {}, undefined],
  ['an empty variable', { OTEL_TRACES_EXPORTER: '' }, undefined],
  ['an endpoint', ENDPOINT, USUAL],
  ['an exporter, to where collectors usually are', { OTEL_TRACES_EXPORTER: 'otlp' }, USUAL],
  ['none', { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }, undefined],
  ['a disabled SDK', { ...ENDPOINT, OTEL_SDK_DISABLED: 'TRUE' }, undefined],
  [
    'a share',
    { ...ENDPOINT, OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.01' },
    { ...USUAL, ratio: 0.01 },
  ],
  ['all', { ...ENDPOINT, OTEL_TRACES_SAMPLER: 'always_on' }, { ...USUAL, parentBased: false }],
  ['none of its own', { ...ENDPOINT, OTEL_TRACES_SAMPLER: 'parentbased_always_off' }, { ...USUAL, ratio: 0 }],
  ['a delay', { ...ENDPOINT, OTEL_BSP_SCHEDULE_DELAY: '200' }, { ...USUAL, delayMs: 200 }],
])('%s is understood', (_what, environment, settings) => {
  expect(tracingSettings(environment)).toEqual(settings);
});

test.each([
  ['OTEL_TRACES_EXPORTER', 'zipkin'],
  ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
  ['OTEL_TRACES_SAMPLER', 'jaeger_remote'],
  ['OTEL_BSP_SCHEDULE_DELAY', '-1'],
])('%s=%s is refused by name', (name, value) => {
  expect(() => tracingSettings({ ...ENDPOINT, [name]: value })).toThrow(`${name}=${value} is not offered; give `);
});
