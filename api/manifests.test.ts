import { readFile, readdir } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { generatedTypes } from '../hack/types-from-crds.js';
import { modelManifest, tenantManifest } from '../test/support/workspace.js';
import { formatDurationUs, parseDurationUs } from './duration.js';
import type { ManifestProblem } from './manifests.js';
import { describeProblem, findDuplicates, parseManifests } from './manifests.js';

const problemsOf = (object: object): ManifestProblem[] => parseManifests('test.yaml', stringify(object)).problems;
const tenant = (spec: object): object => tenantManifest('gate', spec);
const without = (object: object, ...path: string[]): object => {
  const copy = structuredClone(object) as Record<string, unknown>;
  let at = copy;
  for (const part of path.slice(0, -1)) at = at[part] as Record<string, unknown>;
  delete at[path.at(-1)!];
  return copy;
};

describe('manifests', () => {
  test('a good tenant is taken with its defaults filled in', () => {
    const { manifests, problems } = parseManifests('good.yaml', stringify(tenant({})));
    expect(problems).toEqual([]);
    expect(manifests[0]!.resource).toMatchObject({
      kind: 'InferenceTenant',
      metadata: { name: 'gate', namespace: 'default' },
      spec: { streams: 1, class: 'RealTime' },
    });
  });

  test('a file may hold several documents; good ones are read beside bad ones, each problem with its line', () => {
    const text = `# empty first\n---\n${stringify(tenant({}))}---\n${stringify(tenant({ streams: 0 }))}---\nkind: [\n`;
    const { manifests, problems } = parseManifests('mixed.yaml', text);
    expect(manifests).toHaveLength(1);
    expect(problems.map(({ path }) => path)).toEqual(['spec.streams', '']);
    expect(problems[0]!.line).toBeGreaterThan(manifests[0]!.line);
    expect(problems[1]!.message).toMatch(/^not YAML/);
    expect(describeProblem(problems[0]!)).toMatch(
      /^mixed\.yaml:\d+: InferenceTenant\/default\/gate: spec\.streams: 0 must be >= 1$/,
    );
  });

  const refused: [string, object, string, RegExp][] = [
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
    ['a deadline of a number', tenant({ deadline: 100 }), 'spec.deadline', /must be string/],
    ['a negative rate', tenant({ framesPerSecond: -1 }), 'spec.framesPerSecond', /between 0\.001 and 10000/],
    ['a zero rate', tenant({ framesPerSecond: 0 }), 'spec.framesPerSecond', /between 0\.001 and 10000/],
    ['an absurd number of streams', tenant({ streams: 1e9 }), 'spec.streams', /must be <= 10000/],
    ['half a stream', tenant({ streams: 1.5 }), 'spec.streams', /must be integer/],
    ['a shape of two axes', tenant({ inputShape: [3, 8] }), 'spec.inputShape', /fewer than 3/],
    ['a shape with a zero', tenant({ inputShape: [3, 0, 8] }), 'spec.inputShape[1]', /must be >= 1/],
    ['an unknown class', tenant({ class: 'Realtime' }), 'spec.class', /is not one of "RealTime", "BestEffort"/],
    [
      'a jitter beyond the period',
      { ...without(tenant({ period: '20ms', jitter: '30ms' }), 'spec', 'framesPerSecond') },
      'spec',
      /jitter must not be longer/,
    ],
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
  test.each(refused)('%s is refused, naming the path', (_what, object, path, message) => {
    const problems = problemsOf(object);
    expect(problems.map((problem) => problem.path)).toContain(path);
    expect(problems.find((problem) => problem.path === path)!.message).toMatch(message);
  });

  test.each([
    ['a list', '- 1\n- 2\n'],
    ['a bare word', 'hello\n'],
    ['tabs for spaces', 'apiVersion: x\n\tkind: y\n'],
    ['a key given twice', 'a: 1\na: 2\n'],
    [
      'a billion laughs',
      `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'
        .split('')
        .map((k, i) => `${k}: &${k} [${Array(9).fill(`*${'abcdefg'[i]!}`).join(',')}]\n`)
        .join('')}`,
    ],
  ])('%s is refused', (_what, text) => {
    const { manifests, problems } = parseManifests('bad.yaml', text);
    expect(manifests).toEqual([]);
    expect(problems).not.toEqual([]);
  });

  test('an empty file holds nothing, and that is no problem', () => {
    expect(parseManifests('empty.yaml', '# nothing\n')).toEqual({ manifests: [], problems: [] });
  });

  test('two objects of one name are a problem, named with the place of the first', () => {
    const { manifests } = parseManifests(
      'twice.yaml',
      `${stringify(tenant({}))}---\n${stringify(tenant({ streams: 2 }))}`,
    );
    expect(findDuplicates(manifests)).toMatchObject([
      {
        object: 'InferenceTenant/default/gate',
        message: expect.stringMatching(/already defined at twice\.yaml:1/) as unknown as string,
      },
    ]);
  });
});

describe('durations', () => {
  test.each([
    ['33ms', 33_000],
    ['1.5s', 1_500_000],
    ['1m30s', 90_000_000],
    ['250us', 250],
    ['1.1ms', 1100],
    ['1h', 3_600_000_000],
  ])('%s', (text, us) => {
    expect(parseDurationUs(text)).toBe(us);
    expect(parseDurationUs(formatDurationUs(us))).toBe(us);
  });

  test.each(['', '5', 'ms', '-1s', '1 s', '1d', '1e3ms'])('"%s" is none', (text) => {
    expect(() => parseDurationUs(text)).toThrow(/is not a duration/);
  });
});

describe('the CustomResourceDefinitions', () => {
  const folder = new URL('../../crds/', import.meta.url);

  test('the TypeScript types are current; make generate writes them', async () => {
    for (const [file, text] of await generatedTypes())
      expect(await readFile(new URL(`../../api/generated/${file}`, import.meta.url), 'utf8')).toBe(text);
  });

  test('each has a status subresource, printer columns and the category deeprt; the tenants’ model is selectable', async () => {
    for (const file of await readdir(folder)) {
      const { spec } = parse(await readFile(new URL(file, folder), 'utf8')) as {
        spec: {
          names: { kind: string; categories: string[] };
          versions: {
            subresources: object;
            additionalPrinterColumns: { name: string; priority?: number }[];
            selectableFields?: object[];
          }[];
        };
      };
      const version = spec.versions[0]!;
      expect(spec.names.categories).toEqual(['deeprt']);
      expect(version.subresources).toEqual({ status: {} });
      expect(version.additionalPrinterColumns.length).toBeGreaterThan(2);
      if (spec.names.kind !== 'InferenceTenant') continue;
      expect(version.additionalPrinterColumns.map(({ name }) => name)).toEqual([
        'Model',
        'Streams',
        'FPS',
        'Deadline',
        'Admitted',
        'Node',
        'Utilization',
        'Misses',
        'Age',
        'Message',
      ]);
      expect(version.selectableFields).toEqual([{ jsonPath: '.spec.modelRef.name' }]);
    }
  });
});
