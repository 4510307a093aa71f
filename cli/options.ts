import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgumentError, Option } from 'commander';
import { parseDurationUs } from '../api/duration.js';
import type { Fault } from '../sched/faults.js';

/** Options and arguments that several commands share. */

export interface Address {
  readonly host: string;
  readonly port: number;
}

export function durationArgument(text: string): number {
  try {
    const us = parseDurationUs(text);
    if (us === 0) throw new RangeError('a duration must be longer than zero');
    return us;
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** An option whose default `--help` shows as people write it. */
export const durationOption = (flags: string, description: string, standard: string): Option =>
  new Option(flags, description).argParser(durationArgument).default(durationArgument(standard), standard);

/** The same of an address with a port. */
export const listenOption = (flags: string, description: string, standard: string): Option =>
  new Option(flags, description).argParser(listenArgument).default(listenArgument(standard), standard);

export function listenArgument(text: string): Address {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535)
    throw new InvalidArgumentError('give an address and a port, such as 127.0.0.1:8080');
  return { host: (match[1] ?? match[2])!, port };
}

export function portArgument(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new InvalidArgumentError('give a number from 1 to 65535');
  return port;
}

export function seedArgument(text: string): number {
  const seed = text.trim() === '' ? NaN : Number(text);
  if (!Number.isSafeInteger(seed) || seed < 0) throw new InvalidArgumentError('a seed is a non-negative integer');
  return seed;
}

const FAULT_FIELDS: Readonly<Record<Fault['kind'], readonly string[]>> = {
  overrun: ['from', 'for', 'factor', 'category'],
  drift: ['from', 'factor', 'category'],
  hang: ['from', 'for', 'category'],
};

/** A fault such as `overrun:factor=2,from=5s,for=2s,category=text-detector@3x160x160`; collects repeats. */
export function faultArgument(text: string, before: readonly Fault[] = []): Fault[] {
  const [kind, ...rest] = text.split(':') as [Fault['kind'], ...string[]];
  const fields = rest.join(':');
  const known = Object.hasOwn(FAULT_FIELDS, kind) ? FAULT_FIELDS[kind] : undefined;
  if (known === undefined) throw new InvalidArgumentError(`a fault is ${Object.keys(FAULT_FIELDS).join(', ')}`);
  const pairs = fields.split(',').filter((field) => field !== '');
  const values = new Map(
    pairs.map((pair): [string, string] => {
      const [name, ...value] = pair.split('=') as [string, ...string[]];
      return [name, value.join('=')];
    }),
  );
  for (const name of values.keys())
    if (!known.includes(name)) throw new InvalidArgumentError(`${kind} knows ${known.join(', ')}, not "${name}"`);
  const time = (name: string, otherwise: string): number => parseDurationUs(values.get(name) ?? otherwise);
  const factor = Number(values.get('factor') ?? 2);
  if (!(factor > 0 && factor <= 1000)) throw new InvalidArgumentError('factor must be above 0 and at most 1000');
  const category = values.get('category');
  try {
    const times = { fromUs: time('from', '0s'), forUs: time('for', kind === 'hang' ? '500ms' : '2s') };
    return [...before, { kind, factor, ...times, ...(category === undefined ? {} : { category }) }];
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

export const stateOption = (): Option =>
  new Option('--state <dir>', 'where measurements and promises are kept across runs').default(
    join(process.env['XDG_STATE_HOME'] ?? join(process.env['HOME'] ?? tmpdir(), '.local', 'state'), 'deeprt'),
  );
export const modelsFromOption = (): Option =>
  new Option(
    '--models-from <url...>',
    'beginnings of URLs that models may come from, such as https://models.example.com/ or file:///models;\nanywhere when not given',
  ).argParser((url: string, before: string[] | undefined) => [...(before ?? []), sourcesArgument(url)]);

function sourcesArgument(url: string): string {
  if (/^(file|https?):/.test(url) && (URL.canParse(url) || /^https?:$/.test(url))) return url;
  throw new InvalidArgumentError('it must begin with file:, http: or https:');
}

export const logOption = (): Option =>
  new Option('--log <form>', 'log lines on stderr')
    .choices(['text', 'json'])
    .default(process.stderr.isTTY ? 'text' : 'json');
