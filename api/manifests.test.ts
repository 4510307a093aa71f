import { readFile, readdir } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { generatedTypes } from '../hack/types-from-crds.js';
import { badManifests } from '../test/support/bad-manifests.js';
import { tenantManifest } from '../test/support/workspace.js';
import { formatDurationUs, parseDurationUs } from './duration.js';
import type { ManifestProblem } from './manifests.js';
import { describeProblem, findDuplicates, parseManifests } from './manifests.js';

const problemsOf = (object: object): ManifestProblem[] => parseManifests('test.yaml', stringify(object)).problems;
const tenant = (spec: object): object => tenantManifest('gate', spec);

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

  test('a list, as kubectl prints it, is read item by item, with what the cluster has added', () => {
    const added = {
      creationTimestamp: '2026-01-01T00:00:00Z',
      generation: 1,
      managedFields: [{}],
      resourceVersion: '7',
      uid: 'u',
    };
    const { metadata, ...good } = tenant({}) as { metadata: object };
    const status = { observedGeneration: 1, conditions: [] };
    const items = [{ ...good, metadata: { ...metadata, ...added }, status }, tenant({ streams: 0 }), 'nothing'];
    for (const head of [
      { apiVersion: 'v1', kind: 'List' },
      { apiVersion: 'deeprt.dev/v1alpha1', kind: 'InferenceTenantList' },
    ]) {
      const { manifests, problems } = parseManifests('all.yaml', stringify({ ...head, items, metadata: {} }));
      expect(manifests.map(({ resource }) => resource.metadata.name)).toEqual(['gate']);
      expect(problems.map(({ path }) => path)).toEqual(['items[1].spec.streams', 'items[2]']);
      const [first, second] = problems.map(({ line }) => line);
      expect([first! > 10, second! > first!]).toEqual([true, true]);
    }
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

  test.each(badManifests)('%s is refused, naming the path', (_what, object, path, message) => {
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
            subresources?: { status: object };
            additionalPrinterColumns: { name: string; jsonPath: string; priority?: number }[];
            schema: { openAPIV3Schema: Schema };
            selectableFields?: object[];
          }[];
        };
      };
      const version = spec.versions[0]!;
      expect(spec.names.categories).toEqual(['deeprt']);
      // A TenantShare is nothing but what the operator tells.
      if (spec.names.kind !== 'TenantShare') expect(version.subresources!.status).toEqual({});
      const columns = version.additionalPrinterColumns;
      expect(columns.length).toBeGreaterThan(2);
      expect(new Set(columns.map(({ name }) => name)).size).toBe(columns.length);
      // A column shows the first of several values, and tells nobody that there are more.
      expect(columns.filter(({ jsonPath }) => jsonPath.includes('[*]'))).toEqual([]);
      // kubectl explain has a word for every field; that of metadata is the API server's own.
      expect(undescribed(version.schema.openAPIV3Schema)).toEqual(['.metadata']);
      if (spec.names.kind !== 'InferenceTenant') continue;
      expect(version.additionalPrinterColumns.map(({ name }) => name)).toEqual([
        'Model',
        'Streams',
        'FPS',
        'Deadline',
        'Admitted',
        'Reason',
        'Promised',
        'Ready',
        'OnTime',
        'Nodes',
        'Utilization',
        'Misses',
        'Age',
        'URL',
        'Message',
      ]);
      expect(version.selectableFields).toEqual([{ jsonPath: '.spec.modelRef.name' }, { jsonPath: '.spec.class' }]);
    }
  });
});

interface Schema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

/** Paths of the fields that say nothing of themselves. */
function undescribed({ properties = {}, items }: Schema, at = ''): string[] {
  return [
    ...Object.entries(properties).flatMap(([name, field]) => [
      ...(field.description === undefined ? [`${at}.${name}`] : []),
      ...undescribed(field, `${at}.${name}`),
    ]),
    ...(items === undefined ? [] : undescribed(items, `${at}[]`)),
  ];
}
