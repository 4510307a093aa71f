import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { deviceOf } from '../operator/admission/device.js';
import { requestOf } from '../operator/admission/request.js';
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
      if (typeof price !== 'number' || !(price >= 0)) throw new BadInput(`${at}.price: required, a number from 0`);
      if (!Array.isArray(profiles) || profiles.length === 0 || !profiles.every((path) => typeof path === 'string'))
        throw new BadInput(`${at}.profiles: required, a list of files`);
      const found = (await readCatalogue(...profiles.map((path) => resolve(dirname(file), path)))).profiles;
      if (found.length === 0) throw new BadInput(`${at}.profiles: there is no GPUProfile in ${profiles.join(', ')}`);
      return { name, price, devices: found.map(deviceOf) };
    }),
  );
}

/** How many of which nodes the tenants of a folder need. */
export async function fleetFor(dir: string, file: string): Promise<Fleet> {
  const { tenants } = await readCatalogue(dir);
  return planFleet(
    await readTypes(file),
    tenants.map((tenant) => requestOf(tenant)),
  );
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
