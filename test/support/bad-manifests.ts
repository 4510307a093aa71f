import { modelManifest, tenantManifest } from './workspace.js';

/** Manifests that nobody may take: neither the standalone mode nor the API server. */

const tenant = (spec: object): object => tenantManifest('gate', spec);
const without = (object: object, ...path: string[]): object => {
  const copy = structuredClone(object) as Record<string, unknown>;
  let at = copy;
  for (const part of path.slice(0, -1)) at = at[part] as Record<string, unknown>;
  delete at[path.at(-1)!];
  return copy;
};

/** What is wrong, the manifest, the path that must be named, and the message. */
export const badManifests: [string, object, string, RegExp][] = [
  ['an unknown kind', { ...tenant({}), kind: 'InferenceTenent' }, 'kind', /is unknown; known are InferenceTenant/],
  ['another API', { ...tenant({}), apiVersion: 'apps/v1' }, 'apiVersion', /must be deeprt\.dev\/v1alpha1/],
  ['an unknown field', tenant({ deadlines: '1s' }), 'spec.deadlines', /unknown field/],
  [
    'an unknown field deep inside',
    tenant({ placement: { strategi: 'Pack' } }),
    'spec.placement.strategi',
    /unknown field/,
  ],
  ['no name', without(tenant({}), 'metadata', 'name'), 'metadata.name', /required/],
  ['no model', without(tenant({}), 'spec', 'modelRef'), 'spec.modelRef', /required, but missing/],
  ['no spec', without(tenant({}), 'spec'), 'spec', /required/],
  [
    'neither period nor rate',
    without(tenant({}), 'spec', 'framesPerSecond'),
    'spec',
    /exactly one of period and framesPerSecond/,
  ],
  ['both period and rate', tenant({ period: '33ms' }), 'spec', /exactly one of period and framesPerSecond/],
  ['a real-time tenant without deadline', without(tenant({}), 'spec', 'deadline'), 'spec', /needs a deadline/],
  ['a zero deadline', tenant({ deadline: '0ms' }), 'spec.deadline', /between 1ms and 10m/],
  ['a negative deadline', tenant({ deadline: '-5ms' }), 'spec.deadline', /is not a duration/],
  ['a deadline without unit', tenant({ deadline: '100' }), 'spec.deadline', /is not a duration/],
  ['a deadline with a space', tenant({ deadline: '33 ms' }), 'spec.deadline', /is not a duration; write a number and/],
  ['a jitter without unit', tenant({ jitter: '5' }), 'spec.jitter', /is not a duration/],
  [
    'a model that cannot be',
    tenant({ modelRef: { name: 'Echo_1' } }),
    'spec.modelRef.name',
    /no object can have this name/,
  ],
  ['a class that cannot be', tenant({ priorityClassName: 'Ur gent' }), 'spec.priorityClassName', /no object can have/],
  ['a deadline of a number', tenant({ deadline: 100 }), 'spec.deadline', /must be string/],
  ['a negative rate', tenant({ framesPerSecond: -1 }), 'spec.framesPerSecond', /between 0\.001 and 10000/],
  ['a zero rate', tenant({ framesPerSecond: 0 }), 'spec.framesPerSecond', /between 0\.001 and 10000/],
  ['an absurd number of streams', tenant({ streams: 1e9 }), 'spec.streams', /must be <= 10000/],
  ['half a stream', tenant({ streams: 1.5 }), 'spec.streams', /must be integer/],
  ['a shape of seven axes', tenant({ inputShape: [3, 8, 1, 1, 1, 1, 1] }), 'spec.inputShape', /more than 6/],
  ['a shape with a zero', tenant({ inputShape: [3, 0, 8] }), 'spec.inputShape[1]', /must be >= 1/],
  ['an unknown class', tenant({ class: 'Realtime' }), 'spec.class', /is not one of "RealTime", "BestEffort"/],
  [
    'a jitter beyond the period',
    { ...without(tenant({ period: '20ms', jitter: '30ms' }), 'spec', 'framesPerSecond') },
    'spec',
    /jitter must not be longer/,
  ],
  [
    'a jitter beyond the period of a rate',
    tenant({ framesPerSecond: 10, jitter: '101ms' }),
    'spec',
    /jitter must not be longer/,
  ],
  ['a jitter of seconds', tenant({ framesPerSecond: 0.5, jitter: '2001ms' }), 'spec', /jitter must not be longer/],
  ['a jitter of ages', tenant({ jitter: '99999999999999h' }), 'spec.jitter', /must be at most 1h/],
  ['a deadline of ages', tenant({ deadline: '99999999999999h' }), 'spec.deadline', /between 1ms and 10m/],
  ['degradation upwards', tenant({ degradation: { minShape: [3, 16, 16] } }), 'spec', /no larger/],
  [
    'a namespace with capitals',
    { ...tenant({}), metadata: { name: 'a', namespace: 'Default' } },
    'metadata.namespace',
    /lower-case/,
  ],
  [
    'a namespace on a cluster-scoped kind',
    { ...modelManifest('m', 'a'.repeat(64)), metadata: { name: 'm', namespace: 'x' } },
    'metadata.namespace',
    /cluster-scoped/,
  ],
  ['a digest that is none', modelManifest('m', 'abc'), 'spec.sha256', /must match pattern/],
  [
    'a source of another scheme',
    modelManifest('m', 'a'.repeat(64), { source: 'ftp://x/y' }),
    'spec.source',
    /must match pattern/,
  ],
  [
    'shapes that grow',
    modelManifest('m', 'a'.repeat(64), {
      shapes: [
        [3, 8, 8],
        [3, 16, 16],
      ],
    }),
    'spec.shapes',
    /largest first/,
  ],
  ['no shape', modelManifest('m', 'a'.repeat(64), { shapes: [] }), 'spec.shapes', /fewer than 1/],
  [
    'a mean for too few channels',
    modelManifest('m', 'a'.repeat(64), { preprocessing: { mean: [0.5] } }),
    'spec',
    /one entry for each channel/,
  ],
  [
    'a zero std',
    modelManifest('m', 'a'.repeat(64), { preprocessing: { std: [1, 0, 1] } }),
    'spec.preprocessing.std',
    /greater than zero/,
  ],
];
