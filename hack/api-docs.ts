import { readFileSync, readdirSync } from 'node:fs';
import { parse } from 'yaml';
import type { CrdSchema } from '../api/crds.js';

interface Schema extends Omit<CrdSchema, 'properties' | 'items' | 'additionalProperties'> {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly format?: string;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
}

interface CrdFile {
  readonly spec: {
    readonly scope: string;
    readonly names: { readonly kind: string; readonly plural: string; readonly shortNames?: readonly string[] };
    readonly versions: readonly {
      readonly additionalPrinterColumns?: readonly {
        readonly name: string;
        readonly jsonPath: string;
        readonly priority?: number;
      }[];
      readonly selectableFields?: readonly { readonly jsonPath: string }[];
      readonly schema: { readonly openAPIV3Schema: Schema };
    }[];
  };
}

const DURATION = '(us|ms|s|m|h)';
const code = (text: string): string => `\`${text}\``;

function typeOf(schema: Schema): string {
  if (schema.type === 'array') return `list of ${typeOf(schema.items!)}`;
  if (schema.additionalProperties !== undefined) return `map to ${typeOf(schema.additionalProperties)}`;
  if (schema.pattern?.includes(DURATION) === true) return 'duration';
  return schema.format === 'date-time' ? 'time' : (schema.type ?? 'any');
}

/** What a value must be, beyond its type. */
function limits(schema: Schema): string[] {
  const { minimum, maximum, minItems, maxItems, pattern } = schema;
  const rules = schema['x-kubernetes-validations'] ?? [];
  const of = schema.type === 'array' && schema.items!.type !== 'object' ? limits(schema.items!) : [];
  const range = (from: number | undefined, to: number | undefined, what: string): string[] => {
    if (from === undefined && to === undefined) return [];
    if (from === to) return [`exactly ${from}${what}`];
    return [
      from === undefined
        ? `at most ${to}${what}`
        : to === undefined
          ? `at least ${from}${what}`
          : `${from} to ${to}${what}`,
    ];
  };
  return [
    ...(schema.enum === undefined ? [] : [`one of ${schema.enum.map(code).join(', ')}`]),
    ...range(minimum, maximum, ''),
    ...range(minItems, maxItems, ' entries'),
    ...(pattern === undefined || pattern.includes(DURATION) ? [] : [`matches ${code(pattern)}`]),
    ...(of.length === 0 ? [] : [`each ${of.join(', ')}`]),
    ...rules.map(({ message }) => `refused with “${message}”`),
    ...(schema.default === undefined ? [] : [`default ${code(JSON.stringify(schema.default).replaceAll('"', ''))}`]),
  ];
}

function rowsOf(path: string, schema: Schema, required: boolean): string[] {
  const told = [schema.description, ...limits(schema)].filter((text) => text !== undefined);
  const [first = '', ...rest] = told;
  const text = [first.replace(/\.$/, ''), ...rest].join('; ');
  const row = `| ${code(path)} | ${typeOf(schema)}${required ? ', required' : ''} | ${text.replaceAll('|', '\\|')} |`;
  const inner = schema.type === 'array' ? schema.items! : schema;
  const below = schema.type === 'array' ? `${path}[]` : path;
  return [row, ...fieldsOf(below, inner)];
}

const fieldsOf = (path: string, { properties = {}, required = [] }: Schema): string[] =>
  Object.entries(properties).flatMap(([name, schema]) => rowsOf(`${path}.${name}`, schema, required.includes(name)));

function sectionOf({ spec }: CrdFile): string {
  const { kind, plural, shortNames = [] } = spec.names;
  const [version] = spec.versions;
  const { openAPIV3Schema: schema } = version!.schema;
  const columns = (version!.additionalPrinterColumns ?? []).map(
    ({ name, priority = 0 }) => `${name}${priority > 0 ? ' (`-o wide`)' : ''}`,
  );
  const selectable = (version!.selectableFields ?? []).map(({ jsonPath }) => code(jsonPath.slice(1)));
  const table = (part: 'spec' | 'status'): string[] => {
    const { [part]: inner } = schema.properties!;
    if (inner === undefined) return [];
    const rules = (inner['x-kubernetes-validations'] ?? []).map(({ message }) => `- ${message}`);
    return [
      '',
      `### ${kind} ${part}`,
      '',
      '| field | type | |',
      '| --- | --- | --- |',
      ...fieldsOf(part, inner),
      ...(rules.length === 0 ? [] : ['', 'Also:', '', ...rules]),
    ];
  };
  return [
    `## ${kind}`,
    '',
    `${schema.description ?? ''} ${spec.scope === 'Namespaced' ? 'Namespaced' : 'Cluster-scoped'}; ${code(plural)}, short ${shortNames.map(code).join(', ')}.`,
    '',
    `\`kubectl get\` shows ${columns.join(', ')}.${selectable.length === 0 ? '' : ` Field selectors: ${selectable.join(', ')}.`}`,
    ...table('spec'),
    ...table('status'),
  ].join('\n');
}

const ORDER = [
  ...['InferenceTenant', 'InferenceModel', 'GPUProfile', 'NodeSchedule'],
  ...['TenantQuota', 'DeviceFlavor', 'TenantShare'],
];

/** The reference of the kinds, in Markdown. */
export function apiDocs(): string {
  const folder = new URL('../../crds/', import.meta.url);
  const files = readdirSync(folder).map((file) => parse(readFileSync(new URL(file, folder), 'utf8')) as CrdFile);
  files.sort((a, b) => ORDER.indexOf(a.spec.names.kind) - ORDER.indexOf(b.spec.names.kind));
  return `# API reference

Group \`deeprt.dev\`, version \`v1alpha1\`. Made from [crds/](../crds/) by \`make generate\`. People write InferenceTenants and InferenceModels; agents write GPUProfiles, the operator NodeSchedules.
A duration is written like \`33ms\`, \`1.5s\` or \`1m30s\`. What conditions and their reasons mean: [troubleshooting](troubleshooting.md).

${files.map(sectionOf).join('\n\n')}
`;
}
