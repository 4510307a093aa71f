import { readFile, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
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
  /** The folder that a model's relative URIs start from. */
  readonly baseDirs: ReadonlyMap<string, string>;
}

/** Sorts manifests by kind; objects named twice count once, and are problems. */
export function catalogueOf(files: Files): { catalogue: Catalogue; problems: ManifestProblem[] } {
  const manifests = [...files.values()].flatMap((each) => each.manifests);
  const problems = [...[...files.values()].flatMap((each) => each.problems), ...findDuplicates(manifests)];
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
      baseDirs: new Map(
        [...first.values()]
          .filter(({ resource }) => resource.kind === 'InferenceModel')
          .map(({ file, resource }) => [resource.metadata.name, dirname(file)]),
      ),
    },
  };
}

/**
 * Reads a folder that must be right.
 *
 * @throws BadInput listing every problem
 */
export async function readCatalogue(...paths: string[]): Promise<Catalogue> {
  const files = new Map<string, Files extends ReadonlyMap<string, infer F> ? F : never>();
  for (const path of paths) for (const [file, content] of await readFiles(path)) files.set(file, content);
  const { catalogue, problems } = catalogueOf(files);
  if (problems.length > 0) throw new BadInput(problems.map(describeProblem).join('\n'));
  return catalogue;
}
