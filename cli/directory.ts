import { readFile, readdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Manifest, ManifestProblem, Resource, ResourceOf } from '../api/manifests.js';
import { describeProblem, findDuplicates, keyOf, parseManifests } from '../api/manifests.js';

/** Input that a person has to correct; ends the command with code 2. */
export class BadInput extends Error {}

/** The manifests of a folder (or of one file), by file. */
export type Files = ReadonlyMap<
  string,
  { readonly manifests: readonly Manifest[]; readonly problems: readonly ManifestProblem[] }
>;

/** Reads all *.yaml, *.yml and *.json of a folder, in the order of their names, or one file. */
export async function readFiles(path: string): Promise<Files> {
  const files = new Map<string, { manifests: Manifest[]; problems: ManifestProblem[] }>();
  for (const file of await listFiles(path)) {
    try {
      // A pipe or a device among them would be waited for, for ever.
      if (!(await stat(file)).isFile()) throw new Error('not a file; remove it, or give it another name');
      files.set(file, parseManifests(file, await readFile(file, 'utf8')));
    } catch (error) {
      const gone = (error as NodeJS.ErrnoException).code === 'ENOENT'; // removed since it was listed
      if (!gone)
        files.set(file, {
          manifests: [],
          problems: [{ file, line: 1, object: '', path: '', message: (error as Error).message }],
        });
    }
  }
  return files;
}

async function listFiles(path: string): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTDIR') return [path];
    throw new BadInput(`cannot read ${path}: ${(error as Error).message}; -f takes a folder of manifests or one file`);
  }
  return names
    .filter((name) => /\.(ya?ml|json)$/.test(name) && !name.startsWith('.'))
    .sort()
    .map((name) => join(path, name));
}

/** Everything in a folder by kind, in the order of files and documents. */
export interface Catalogue {
  readonly tenants: readonly ResourceOf<'InferenceTenant'>[];
  readonly models: ReadonlyMap<string, ResourceOf<'InferenceModel'>>;
  readonly profiles: readonly ResourceOf<'GPUProfile'>[];
  readonly quotas: readonly ResourceOf<'TenantQuota'>[];
  readonly flavors: readonly ResourceOf<'DeviceFlavor'>[];
  readonly namespaces: readonly ResourceOf<'Namespace'>[];
  readonly nodes: readonly ResourceOf<'Node'>[];
  readonly priorityClasses: readonly ResourceOf<'PriorityClass'>[];
  /** The folder that a model's relative URIs start from. */
  readonly baseDirs: ReadonlyMap<string, string>;
}

/** Sorts manifests by kind; objects named twice count once, and are problems. */
export function catalogueOf(files: Files): { catalogue: Catalogue; problems: ManifestProblem[] } {
  const manifests = [...files.values()].flatMap((each) => each.manifests);
  const problems = [
    ...[...files.values()].flatMap((each) => each.problems),
    ...findDuplicates(manifests),
    ...measuredTwice(manifests),
  ];
  const first = new Map<string, Manifest>();
  for (const manifest of manifests)
    if (!first.has(keyOf(manifest.resource))) first.set(keyOf(manifest.resource), manifest);
  const ofKind = <K extends Resource['kind']>(kind: K): ResourceOf<K>[] =>
    [...first.values()]
      .map(({ resource }) => resource)
      .filter((resource): resource is ResourceOf<K> => resource.kind === kind);
  return {
    problems,
    catalogue: {
      tenants: ofKind('InferenceTenant'),
      models: new Map(ofKind('InferenceModel').map((model) => [model.metadata.name, model])),
      profiles: ofKind('GPUProfile'),
      quotas: ofKind('TenantQuota'),
      flavors: ofKind('DeviceFlavor'),
      namespaces: ofKind('Namespace'),
      nodes: ofKind('Node'),
      priorityClasses: ofKind('PriorityClass'),
      baseDirs: new Map(
        [...first.values()]
          .filter(({ resource }) => resource.kind === 'InferenceModel')
          .map(({ file, resource }) => [resource.metadata.name, dirname(file)]),
      ),
    },
  };
}

/** A device has one profile: of two, nobody could tell which holds. */
function measuredTwice(manifests: readonly Manifest[]): ManifestProblem[] {
  const first = new Map<string, Manifest>();
  return manifests.flatMap((manifest) => {
    const { file, line, resource } = manifest;
    if (resource.kind !== 'GPUProfile') return [];
    const { nodeName, device } = resource.spec;
    const known = first.get(`${nodeName}/${device}`);
    if (known === undefined) first.set(`${nodeName}/${device}`, manifest);
    if (known === undefined || known.resource.metadata.name === resource.metadata.name) return [];
    const message = `device ${device} of ${nodeName} has the profile "${known.resource.metadata.name}" at ${known.file}:${known.line} already; name another node or device`;
    return [{ file, line, object: keyOf(resource), path: 'spec.device', message }];
  });
}

/**
 * Reads a folder that must be right.
 *
 * @throws BadInput listing every problem
 */
export async function readCatalogue(...paths: string[]): Promise<Catalogue> {
  const files = new Map<string, Files extends ReadonlyMap<string, infer F> ? F : never>();
  const read = new Set<string>();
  for (const path of paths)
    for (const [file, content] of await readFiles(path)) {
      if (read.has(resolve(file))) continue;
      read.add(resolve(file));
      files.set(file, content);
    }
  const { catalogue, problems } = catalogueOf(files);
  if (problems.length > 0) throw new BadInput(problems.map(describeProblem).join('\n'));
  return catalogue;
}
