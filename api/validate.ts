import type { ErrorObject, ValidateFunction } from 'ajv';
import { Ajv } from 'ajv';
import type { CelInput } from '@bufbuild/cel';
import { run } from '@bufbuild/cel';
import type { Crd, CrdSchema } from './crds.js';
import { crds } from './crds.js';

/** Something wrong with an object: where, as a field path such as `spec.deadline`, and what to do about it. */
export interface Problem {
  readonly path: string;
  readonly message: string;
}

type Check = (object: unknown) => Problem[];

const ajv = new Ajv({ allErrors: true, verbose: true, useDefaults: true, strict: false, validateFormats: false });
const validators = new Map<string, { crd: Crd; validate: ValidateFunction }>(
  crds.map((crd) => [crd.kind, { crd, validate: ajv.compile(closed(crd.schema)) }]),
);

/**
 * Checks an object against the CRD of its kind as the API server would with strict field validation: structure first,
 * then, if that holds, the CEL rules. Fills in defaults in place. An empty list means valid.
 */
export function validate(kind: string, object: unknown): Problem[] {
  const known = validators.get(kind);
  if (known === undefined)
    return [
      { path: 'kind', message: `"${kind}" is not a kind of DeepRT; it knows ${[...validators.keys()].join(', ')}` },
    ];
  if (!known.validate(object)) return (known.validate.errors ?? []).map(explain);
  const { schema } = known.crd;
  return [...repeats(schema, object, ''), ...celProblems(schema, object, '')];
}

/** The same by a JSON schema alone. */
export function validator(schema: object): Check {
  const check = ajv.compile(schema);
  return (object) => (check(object) ? [] : (check.errors ?? []).map(explain));
}

/** Unknown fields are refused wherever the schema names the fields; `metadata` belongs to Kubernetes. */
function closed(schema: CrdSchema): object {
  const { properties, items, additionalProperties, ...rest } = schema;
  return {
    ...rest,
    ...(items === undefined ? {} : { items: closed(items) }),
    ...(additionalProperties === undefined ? {} : { additionalProperties: closed(additionalProperties) }),
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(Object.entries(properties).map(([name, child]) => [name, closed(child)])),
          additionalProperties: false,
        }),
  };
}

function explain({ instancePath, keyword, params, message, data }: ErrorObject): Problem {
  const path = instancePath
    .split('/')
    .slice(1)
    .reduce((so, part) => (/^[0-9]+$/.test(part) ? `${so}[${part}]` : so === '' ? part : `${so}.${part}`), '');
  const inside = (name: string): string => (path === '' ? name : `${path}.${name}`);
  const given = params as Record<string, unknown>;
  switch (keyword) {
    case 'additionalProperties':
      return {
        path: inside(String(given['additionalProperty'])),
        message: 'unknown field; check its spelling and place',
      };
    case 'required':
      return { path: inside(String(given['missingProperty'])), message: 'required, but missing' };
    case 'enum':
      return {
        path,
        message: `${show(data)} is not one of ${(given['allowedValues'] as unknown[]).map(show).join(', ')}`,
      };
    default:
      return { path, message: `${show(data)} ${message ?? keyword}` };
  }
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** Entries of a list that is a map by some of their fields. */
function repeats(schema: CrdSchema, value: unknown, path: string): Problem[] {
  if (typeof value !== 'object' || value === null) return [];
  const { properties = {}, items, 'x-kubernetes-list-map-keys': keys } = schema;
  if (!Array.isArray(value))
    return Object.entries(properties).flatMap(([name, child]) =>
      repeats(child, (value as Record<string, unknown>)[name], path === '' ? name : `${path}.${name}`),
    );
  const seen = new Set<string>();
  return (value as unknown[]).flatMap((item, i) => {
    const at = `${path}[${i}]`;
    const key = JSON.stringify(keys?.map((name) => (item as Record<string, unknown>)[name]));
    const again = keys !== undefined && seen.has(key);
    seen.add(key);
    const message = `there is one with this ${keys?.join(' and ') ?? ''} already; remove one of them`;
    return [...(again ? [{ path: at, message }] : []), ...(items === undefined ? [] : repeats(items, item, at))];
  });
}

function celProblems(schema: CrdSchema, value: unknown, path: string): Problem[] {
  if (value === undefined) return [];
  const problems: Problem[] = [];
  for (const { rule, message } of schema['x-kubernetes-validations'] ?? []) {
    const outcome = run(rule, { self: toCel(schema, value) });
    if (outcome !== true)
      problems.push({ path, message: typeof value === 'string' ? `${show(value)}: ${message}` : message });
  }
  for (const [name, child] of Object.entries(schema.properties ?? {}))
    problems.push(
      ...celProblems(child, (value as Record<string, unknown>)[name], path === '' ? name : `${path}.${name}`),
    );
  if (schema.items !== undefined)
    (value as unknown[]).forEach((item, i) => problems.push(...celProblems(schema.items!, item, `${path}[${i}]`)));
  return problems;
}

/** JavaScript has one kind of number, CEL two: the schema says which is meant. */
function toCel(schema: CrdSchema, value: unknown): CelInput {
  if (schema.type === 'integer') return BigInt(value as number);
  if (Array.isArray(value)) return value.map((item) => toCel(schema.items ?? {}, item));
  if (value !== null && typeof value === 'object')
    return new Map(
      Object.entries(value).map(([name, child]) => [
        name,
        toCel(schema.properties?.[name] ?? schema.additionalProperties ?? {}, child),
      ]),
    );
  return value as CelInput;
}
