import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { parseManifests } from '../../api/manifests.js';
import { sameShape } from '../../api/names.js';
import type { CompleteModel } from '../frames.js';
import { keep, kept } from '../disk/kept-file.js';
import { fingerprint } from './measure.js';
import type { Profile, ProfiledCategory } from './profile.js';

const fileOf = (stateDir: string, name: string): string => join(stateDir, 'profiles', `${name}.yaml`);

/**
 * The profile stored for a device; undefined when there is none.
 *
 * @throws Damaged when it is not what was stored
 */
export async function readProfile(stateDir: string, name: string): Promise<Profile | undefined> {
  const file = fileOf(stateDir, name);
  const text = await kept(file);
  if (text === undefined) return undefined;
  const resource = parseManifests(file, text).manifests[0]?.resource;
  return resource?.kind === 'GPUProfile' ? resource : undefined;
}

/** Stores a profile; a crash leaves the old one or the new one. */
export async function writeProfile(stateDir: string, profile: Profile): Promise<void> {
  await keep(fileOf(stateDir, profile.metadata.name), profileText(profile));
}

/** Forgets what is stored of a device. */
export const removeProfile = (stateDir: string, name: string): Promise<void> =>
  rm(fileOf(stateDir, name), { force: true });

/** A profile as a manifest. */
export function profileText({ apiVersion, kind, metadata, spec, status }: Profile): string {
  return stringify(
    { apiVersion, kind, metadata: { name: metadata.name }, spec, status },
    { aliasDuplicateObjects: false },
  );
}

/** The stored measurement of a category, if nothing that it depends on has changed. */
export function reusable(
  stored: Profile | undefined,
  device: NonNullable<Profile['status']>['device'],
  model: CompleteModel,
  shape: readonly number[],
): ProfiledCategory | undefined {
  const known = stored?.status?.device;
  // Memory is what happened to be free.
  if (
    known === undefined ||
    JSON.stringify(sorted({ ...known, memoryBytes: 0 })) !== JSON.stringify(sorted({ ...device, memoryBytes: 0 }))
  )
    return undefined;
  const wanted = fingerprint(model);
  return stored?.status?.categories?.find(
    (category) =>
      category.model === model.metadata.name &&
      sameShape(category.shape, shape) &&
      category.fingerprint === wanted &&
      // Versions before 0.3 did not tell.
      category.outputs !== undefined &&
      isPlausible(category),
  );
}

/** Whether figures can be a measurement: a file that was cut or altered may still be read. */
function isPlausible({ batches }: ProfiledCategory): boolean {
  return (
    batches.length > 0 &&
    batches.every(
      ({ size, p50Us = 1, p99Us = p50Us, wcetUs }, i) =>
        size > (batches[i - 1]?.size ?? 0) && p50Us > 0 && p99Us >= p50Us && wcetUs >= p99Us,
    )
  );
}

function sorted(value: object | undefined): [string, unknown][] {
  return Object.entries(value ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
}
