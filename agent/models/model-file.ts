import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, mkdir, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, sep } from 'node:path';
import type { ResourceOf } from '../../api/manifests.js';
import { digest } from './digest.js';
import { externalLocations, readHead } from './onnx-head.js';
import { fetchInto, withoutSecrets } from './fetch.js';
import type { Allowed } from './sources.js';
import { allowedFrom, localFile } from './sources.js';

type Model = ResourceOf<'InferenceModel'>;

/** The model's file is on its way: it will be there, or why it cannot be had, when it is asked for again. */
export class StillComing extends Error {}

const PART = '.part';
/** Of a model that comes in the meantime nobody is told that it does not. */
const GRACE_MS = 2000;

interface Coming {
  readonly done: Promise<void>;
  readonly stop: AbortController;
  failure?: Error;
}

/** Models that are on their way, by the folder that they come into: devices that want the same one wait for one. */
const coming = new Map<string, Coming>();

/**
 * A model's ONNX file, its digest checked, in a folder of its own under `stateDir/models` that nobody else writes to: what
 * becomes of the source afterwards changes no answer. Weights in files beside it come along, where they are the model's own.
 *
 * @param baseDir what a relative `file:` URI starts from
 * @param from prefixes of URLs that models may come from; anywhere where absent
 * @param graceMs how long to wait for one that has to be fetched or copied
 * @throws StillComing when it has not come by then; Error saying what is wrong
 */
export async function modelFile(
  model: Model,
  baseDir: string,
  stateDir: string,
  from?: readonly string[],
  graceMs = GRACE_MS,
): Promise<string> {
  const { source, sha256, externalData = [] } = model.spec;
  // The same graph may come with other weights.
  const key =
    externalData.length === 0 ? sha256 : digestOf([sha256, ...externalData.map((each) => each.sha256)].join());
  const folder = join(stateDir, 'models', key);
  const path = join(folder, 'model.onnx');
  if (await exists(path)) {
    coming.delete(folder);
    return path;
  }
  let mine = coming.get(folder);
  if (mine === undefined) {
    const stop = new AbortController();
    const done = bring(model, folder, baseDir, allowedFrom(from), stop.signal);
    mine = { done, stop };
    const own = mine;
    done.catch((error: unknown) => {
      own.failure = error as Error;
    });
    coming.set(folder, mine);
  }
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), graceMs);
  });
  try {
    if ((await Promise.race([mine.done, late])) === 'late')
      throw new StillComing(`model "${model.metadata.name}" is being fetched from ${shown(source)}`);
    return path;
  } catch (error) {
    if (error instanceof StillComing) throw error;
    throw new Error(`model "${model.metadata.name}": ${(error as Error).message}`, { cause: error });
  } finally {
    clearTimeout(timer);
    // Whoever asks after a failure wants it tried again.
    if (mine.failure !== undefined || (await exists(path))) coming.delete(folder);
  }
}

/** Stops fetching into a folder for what is kept. */
export function stopFetching(stateDir: string): void {
  for (const [folder, { stop }] of coming) if (folder.startsWith(stateDir + sep)) stop.abort();
}

/** Removes what fetches that were cut off have left behind; for when nothing is being fetched. */
export async function cleanUp(stateDir: string): Promise<void> {
  const models = join(stateDir, 'models');
  const names = await readdir(models).catch(() => []);
  for (const name of names) if (name.endsWith(PART)) await rm(join(models, name), { recursive: true, force: true });
}

/** Makes the folder, whole or not at all. */
async function bring(
  model: Model,
  folder: string,
  baseDir: string,
  allowed: Allowed,
  stop: AbortSignal,
): Promise<void> {
  const { source, sha256 } = model.spec;
  const part = `${folder}${PART}`;
  await rm(part, { recursive: true, force: true });
  await mkdir(part, { recursive: true });
  // Agents of version 0.2 kept what they had fetched so.
  const before = `${folder}.onnx`;
  try {
    if (await exists(before)) {
      await rename(before, join(part, 'model.onnx'));
      if ((await digest(join(part, 'model.onnx'))) === sha256) return await rename(part, folder);
    }
    const local = source.startsWith('file:') ? await localFile(source, baseDir, allowed) : undefined;
    const into = join(part, 'model.onnx');
    if (local === undefined) await fetched(into, source, allowed, stop);
    else await copied(into, local, '(spec.source)');
    const found = await digest(into);
    if (found !== sha256)
      throw new Error(
        `${local ?? `what comes from ${shown(source)}`} has sha256 ${found}, but spec.sha256 says ${sha256}; it is not the file that was meant`,
      );
    await bringWeights(model, part, local, allowed, stop);
    await rm(folder, { recursive: true, force: true });
    await rename(part, folder);
  } catch (error) {
    await rm(part, { recursive: true, force: true });
    throw error;
  }
}

/** The files that the ONNX file keeps tensors in; only those that are its own, or whose content the manifest knows. */
async function bringWeights(
  { spec: { source, externalData = [] } }: Model,
  part: string,
  local: string | undefined,
  allowed: Allowed,
  stop: AbortSignal,
): Promise<void> {
  let names: string[];
  try {
    names = externalLocations(readHead(join(part, 'model.onnx')));
  } catch {
    return; // ONNX Runtime says it better
  }
  const declared = new Map(externalData.map(({ name, sha256 }) => [name, sha256]));
  for (const name of names) {
    const where = `its weights file "${name}"`;
    if (isAbsolute(name) || name.split(/[/\\]/).includes('..') || name === 'model.onnx' || name === '')
      throw new Error(`${where} is not beside the ONNX file; export it with its weights beside it`);
    const known = declared.get(name);
    const into = join(part, name);
    await mkdir(dirname(into), { recursive: true });
    if (local === undefined) {
      if (known === undefined)
        throw new Error(
          `${where} is not in spec.externalData; name it there, with its sha256, or export the model as one file`,
        );
      const url = new URL(source);
      url.pathname = new URL(name.split('/').map(encodeURIComponent).join('/'), url).pathname;
      await fetched(into, url.href, allowed, stop);
    } else {
      const stem = basename(local).replace(/\.[^.]*$/, '');
      if (known === undefined && !basename(name).startsWith(stem))
        throw new Error(
          `${where} may be another model's, since its name does not begin with "${stem}"; name it in spec.externalData, with its sha256`,
        );
      const beside = join(dirname(local), name);
      const target = await realpath(beside).catch(() => beside);
      if (!target.startsWith(dirname(local) + sep))
        throw new Error(`${where} leads out of the folder of the ONNX file`);
      await copied(into, target, 'beside the ONNX file');
    }
    if (known !== undefined && (await digest(into)) !== known)
      throw new Error(`${where} is not the file that was meant: spec.externalData says sha256 ${known}`);
  }
}

async function fetched(into: string, source: string, allowed: Allowed, stop: AbortSignal): Promise<void> {
  try {
    await fetchInto(into, source, allowed, stop);
  } catch (error) {
    throw new Error(`cannot fetch ${shown(source)} (spec.source): ${(error as Error).message}`, { cause: error });
  }
}

/** A copy that shares its blocks with the original where the file system can. */
async function copied(into: string, from: string, where: string): Promise<void> {
  const found = await stat(from).catch(() => undefined);
  if (found === undefined) throw new Error(`there is no file ${from} ${where}`);
  if (!found.isFile()) throw new Error(`${from} is not a file ${where}`);
  await copyFile(from, into, constants.COPYFILE_FICLONE);
}

const shown = (source: string): string => (/^https?:/.test(source) ? withoutSecrets(source) : source);

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');
