import type { Node } from 'yaml';
import { LineCounter, parseAllDocuments } from 'yaml';
import { API_VERSION, crds } from './crds.js';
import type { DeviceFlavor } from './generated/DeviceFlavor.js';
import type { GPUProfile } from './generated/GPUProfile.js';
import type { InferenceModel } from './generated/InferenceModel.js';
import type { InferenceTenant } from './generated/InferenceTenant.js';
import type { NodeSchedule } from './generated/NodeSchedule.js';
import type { TenantQuota } from './generated/TenantQuota.js';
import type { TenantShare } from './generated/TenantShare.js';
import { NAMESPACE_NAME } from './names.js';
import type { KubernetesKinds } from './kubernetes-kinds.js';
import { KUBERNETES_KINDS } from './kubernetes-kinds.js';
import type { Problem } from './validate.js';
import { validate, validator } from './validate.js';

export interface ObjectMeta {
  readonly name: string;
  readonly namespace: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

interface Kinds {
  InferenceTenant: InferenceTenant;
  InferenceModel: InferenceModel;
  GPUProfile: GPUProfile;
  NodeSchedule: NodeSchedule;
  TenantQuota: TenantQuota;
  DeviceFlavor: DeviceFlavor;
  TenantShare: TenantShare;
}

type AllKinds = Kinds & KubernetesKinds;

/** A validated object of one of the kinds, defaults filled in. Cluster-scoped kinds have namespace ''. */
export type Resource = {
  [K in keyof AllKinds]: Omit<AllKinds[K], 'kind' | 'metadata'> & { readonly kind: K; readonly metadata: ObjectMeta };
}[keyof AllKinds];
export type ResourceOf<K extends keyof AllKinds> = Extract<Resource, { kind: K }>;

/** An object and where it was written. */
export interface Manifest {
  readonly file: string;
  readonly line: number;
  readonly resource: Resource;
}

/** Something wrong in a file. `object` names the object as far as it is known. */
export interface ManifestProblem extends Problem {
  readonly file: string;
  readonly line: number;
  readonly object: string;
}

/** Aliases that stand for more values than this could be an attack. */
const MOST_ALIASES = 20_000;
/** Longer manifests are refused unread. */
const LARGEST_FILE = 8 * 1024 * 1024;
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

const NAMELESS: Problem = {
  path: 'metadata.name',
  message: 'required, a text of lower-case letters, digits, "-" and "."',
};

/** Names an object uniquely. */
export function keyOf({ kind, metadata }: Pick<Resource, 'kind' | 'metadata'>): string {
  return metadata.namespace === '' ? `${kind}/${metadata.name}` : `${kind}/${metadata.namespace}/${metadata.name}`;
}

/** Says a problem the way compilers do: file:line: object: path: message. */
export function describeProblem({ file, line, object, path, message }: ManifestProblem): string {
  return [`${file}:${line}`, object, path, message].filter((part) => part !== '').join(': ');
}

/** Reads one file of YAML or JSON with any number of documents. What is right is returned also when others are wrong. */
export function parseManifests(file: string, text: string): { manifests: Manifest[]; problems: ManifestProblem[] } {
  const manifests: Manifest[] = [];
  const problems: ManifestProblem[] = [];
  if (text.length > LARGEST_FILE) {
    problems.push({ file, line: 1, object: '', path: '', message: `larger than ${LARGEST_FILE} bytes; split it` });
    return { manifests, problems };
  }
  const lines = new LineCounter();
  for (const document of parseAllDocuments(text, { lineCounter: lines, uniqueKeys: true, merge: true })) {
    if (!('contents' in document)) continue; // an empty stream
    const first = lines.linePos(document.contents?.range?.[0] ?? document.range[0]).line || 1;
    const isNoYaml = (message: string): void => {
      problems.push({ file, line: first, object: '', path: '', message: `not YAML: ${message}` });
    };
    if (document.errors.length > 0) {
      for (const { message, linePos } of document.errors)
        problems.push({
          file,
          line: linePos?.[0].line ?? first,
          object: '',
          path: '',
          message: `not YAML: ${message.split('\n')[0]!}`,
        });
      continue;
    }
    let value: unknown;
    try {
      value = document.toJS({ maxAliasCount: MOST_ALIASES });
    } catch (error) {
      isNoYaml((error as Error).message);
      continue;
    }
    if (value === null || value === undefined) continue;
    for (const [at, one, place] of objectsIn(value)) {
      const start = place === undefined ? undefined : (document.getIn(place, true) as Node | undefined)?.range?.[0];
      const line = start === undefined ? first : lines.linePos(start).line;
      const problem = (path: string, message: string, object = ''): void => {
        problems.push({ file, line, object, path, message });
      };
      if (typeof one !== 'object' || one === null || Array.isArray(one)) {
        problem(at, 'not a Kubernetes object; expected apiVersion, kind, metadata and spec');
        continue;
      }
      const { object, problems: found } = checkObject(one as Record<string, unknown>);
      for (const { path, message } of found) problem([at, path].filter(Boolean).join('.'), message, object);
      if (found.length === 0) manifests.push({ file, line, resource: one as unknown as Resource });
    }
  }
  return { manifests, problems };
}

/** A document's objects, and where in it they are, in words and as a path: of a List, as `kubectl get -o yaml` prints it, its items. */
function objectsIn(value: unknown): (readonly [at: string, object: unknown, place?: readonly (string | number)[]])[] {
  const { kind, apiVersion, items } = value as {
    readonly kind?: unknown;
    readonly apiVersion?: unknown;
    readonly items?: unknown;
  };
  const isList =
    Array.isArray(items) &&
    ((kind === 'List' && apiVersion === 'v1') || (apiVersion === API_VERSION && String(kind).endsWith('List')));
  return isList ? (items as unknown[]).map((item, i) => [`items[${i}]`, item, ['items', i]]) : [['', value]];
}

const kubernetesChecks = new Map(
  Object.entries(KUBERNETES_KINDS).map(([kind, { apiVersion, schema }]) => [
    `${apiVersion}/${kind}`,
    validator(schema),
  ]),
);
const kubernetesKind = (kind: string, apiVersion: unknown): ((value: unknown) => Problem[]) | undefined =>
  kubernetesChecks.get(`${String(apiVersion)}/${kind}`);

function checkObject(value: Record<string, unknown>): { object: string; problems: Problem[] } {
  const kind = typeof value['kind'] === 'string' ? value['kind'] : '';
  const metadata = (
    typeof value['metadata'] === 'object' && value['metadata'] !== null ? value['metadata'] : {}
  ) as Record<string, unknown>;
  const name = typeof metadata['name'] === 'string' ? metadata['name'] : '';
  const object = [kind, name].filter((part) => part !== '').join('/');
  const kubernetes = kubernetesKind(kind, value['apiVersion']);
  if (kubernetes !== undefined) {
    const problems = [...(NAME.test(name) ? [] : [NAMELESS]), ...kubernetes(value)];
    value['metadata'] = { ...metadata, labels: metadata['labels'] ?? {}, namespace: '' };
    return { object, problems };
  }
  const crd = crds.find((each) => each.kind === kind);
  if (value['apiVersion'] !== API_VERSION)
    return {
      object,
      problems: [{ path: 'apiVersion', message: `must be ${API_VERSION}, not ${JSON.stringify(value['apiVersion'])}` }],
    };
  if (crd === undefined)
    return {
      object,
      problems: [
        { path: 'kind', message: `"${kind}" is unknown; known are ${crds.map((each) => each.kind).join(', ')}` },
      ],
    };

  const problems: Problem[] = [];
  if (!NAME.test(name)) problems.push(NAMELESS);
  const namespace = metadata['namespace'] ?? (crd.namespaced ? 'default' : '');
  if (crd.namespaced && (typeof namespace !== 'string' || !NAMESPACE_NAME.test(namespace)))
    problems.push({ path: 'metadata.namespace', message: 'must be lower-case letters, digits and "-"' });
  if (!crd.namespaced && namespace !== '')
    problems.push({ path: 'metadata.namespace', message: `${kind} is cluster-scoped and takes no namespace` });
  problems.push(...validate(kind, value));
  value['metadata'] = { ...metadata, namespace };
  return {
    object: crd.namespaced && typeof namespace === 'string' && name !== '' ? `${kind}/${namespace}/${name}` : object,
    problems,
  };
}

/** Objects of one kind and name may be written once only; every further one is a problem. */
export function findDuplicates(manifests: readonly Manifest[]): ManifestProblem[] {
  const first = new Map<string, Manifest>();
  return manifests.flatMap((manifest) => {
    const key = keyOf(manifest.resource);
    const known = first.get(key);
    if (known === undefined) {
      first.set(key, manifest);
      return [];
    }
    const { file, line } = manifest;
    return [
      {
        file,
        line,
        object: key,
        path: 'metadata.name',
        message: `already defined at ${known.file}:${known.line}; names must be unique`,
      },
    ];
  });
}
