import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { deviceOf } from '../operator/admission/device.js';
import type { ResourceOf } from '../api/manifests.js';
import { requestsOf } from './decide-files.js';
import { BadInput, readCatalogue } from './directory.js';
import type { Fleet, NodeType } from './fleet.js';
import { RESOURCES, planFleet } from './fleet.js';
import { table } from './table.js';

/**
 * Node types that can be bought: `nodeTypes`, a list of a `name`, a `price` in whatever unit, and `profiles`, files with a GPUProfile for
 * each device of such a node, relative to this file.
 *
 * @throws BadInput naming what is wrong
 */
async function readTypes(file: string): Promise<NodeType[]> {
  let read: unknown;
  try {
    read = parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new BadInput(`${file}: ${(error as Error).message}`);
  }
  const { nodeTypes } = (read ?? {}) as { readonly nodeTypes?: unknown };
  if (!Array.isArray(nodeTypes) || nodeTypes.length === 0) throw new BadInput(`${file}: nodeTypes: required, a list`);
  return Promise.all(
    nodeTypes.map(async (each: unknown, i) => {
      const { name, price, profiles } = (each ?? {}) as Record<string, unknown>;
      const at = `${file}: nodeTypes[${i}]`;
      if (typeof name !== 'string') throw new BadInput(`${at}.name: required`);
      if (typeof price !== 'number' || !(price >= 0 && price < Infinity))
        throw new BadInput(`${at}.price: required, a number from 0`);
      if (!Array.isArray(profiles) || profiles.length === 0 || !profiles.every((path) => typeof path === 'string'))
        throw new BadInput(`${at}.profiles: required, a list of files`);
      // A node may have several devices of which one was measured, so a file may be named several times.
      const found = await Promise.all(profiles.map((path) => profilesIn(resolve(dirname(file), path), at)));
      const devices = found
        .flat()
        .map((profile, device) => deviceOf({ ...profile, spec: { ...profile.spec, nodeName: name, device } }));
      return { name, price, devices };
    }),
  );
}

async function profilesIn(path: string, at: string): Promise<ResourceOf<'GPUProfile'>[]> {
  const { profiles } = await readCatalogue(path).catch((error: unknown) => {
    throw error instanceof BadInput ? new BadInput(`${at}.profiles: ${error.message}`) : error;
  });
  if (profiles.length === 0) throw new BadInput(`${at}.profiles: there is no GPUProfile in ${path}`);
  return [...profiles];
}

/** How many of which nodes the tenants of a folder need, but for those that want nothing for now. */
export async function fleetFor(dir: string, file: string): Promise<Fleet> {
  const catalogue = await readCatalogue(dir);
  const requests = requestsOf(catalogue).filter(({ suspended }) => !suspended);
  const known = requests.filter(({ model }) => catalogue.models.has(model));
  const fleet = planFleet(await readTypes(file), known);
  const unknown = requests
    .filter((request) => !known.includes(request))
    .map(({ key, model }) => ({ tenant: key, why: `there is no InferenceModel "${model}" among the manifests` }));
  return { ...fleet, refused: [...unknown, ...fleet.refused] };
}

export function fleetText({ parts, price, boundPrice, refused, oneMore }: Fleet): string {
  const percent = (share: number): string => `${(100 * share).toFixed(0)}%`;
  const rows = parts.map(({ type, nodes, price: own, used, bottleneck }) => [
    type,
    `${nodes}`,
    figure(own),
    ...RESOURCES.map((resource) => percent(used[resource])),
    bottleneck,
  ]);
  const text = [
    table(['TYPE', 'NODES', 'PRICE', ...RESOURCES.map((resource) => resource.toUpperCase()), 'BOTTLENECK'], rows),
    `${figure(price)} in all; no packing of these types can cost less than ${figure(boundPrice)}`,
  ];
  if (oneMore.length > 0)
    text.push(
      table(
        ['ONE CAMERA MORE LIKE', 'BEST ON', 'COSTS'],
        oneMore.map(({ tenant, type, price: each }) => [tenant, type, figure(each)]),
      ),
    );
  if (refused.length > 0)
    text.push(
      table(
        ['NOT SERVED BY ANY', 'WHY'],
        refused.map(({ tenant, why }) => [tenant, why]),
      ),
    );
  return text.join('\n\n');
}

const figure = (value: number): string => Number(value.toPrecision(4)).toString();
