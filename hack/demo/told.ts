import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { frameCost } from '../../api/frames.js';
import type { ResourceOf } from '../../api/manifests.js';
import { shapeText } from '../../api/names.js';
import { simulateFiles } from '../../cli/simulate.js';
import { table } from '../../cli/table.js';
import { FRAMES } from '../example-manifests.js';

type Tenant = ResourceOf<'InferenceTenant'>;

const BEST_EFFORT = 'archive';
/** Frames that are sent all at once; the tenant has room for so many on their way. */
const BURST = 6;

export function describeProfile({ status }: ResourceOf<'GPUProfile'>): string {
  const rows = (status?.categories ?? []).map(({ model, shape, batches }) => {
    const [first, last] = [batches[0]!, batches.at(-1)!];
    const ms = (us: number): string => (us / 1000).toFixed(1);
    return [
      model,
      shapeText(shape),
      ms(first.p50Us!),
      ms(first.wcetUs),
      String(last.size),
      ms(last.wcetUs / last.size),
    ];
  });
  const head = ['MODEL', 'SHAPE', 'ONE FRAME P50 MS', 'WCET MS', 'LARGEST USEFUL BATCH', 'WCET MS PER FRAME'];
  const { stages } = status ?? {};
  const costs = (['Tensor', 'JSON', 'JPEG'] as const).map((form) => {
    const pixels = form === 'JPEG' ? 640 * 480 : 0;
    const { receiveUs, decodeUs } = frameCost(stages, { form, bytes: 48 * 1024, pixels });
    return `${((receiveUs + decodeUs) / 1000).toFixed(1)}ms a ${form}`;
  });
  const overheads = `dispatch overhead ${status?.dispatchOverheadUs ?? 0}us a job; receiving and decoding ${costs.join(', ')} of 48 KiB`;
  return `${table(head, rows)}\n${overheads}`;
}

/** Frames of one tenant all at once, on an idle device: all but the first few are beyond its rate. */
export async function burstOf(
  url: string,
  { metadata: { name } }: Tenant,
): Promise<{ tenant: string; sent: number; answered: number }> {
  const frame = await readFile(join(FRAMES, `${name}-1.jpg`));
  const answers = Array.from({ length: BURST }, () =>
    fetch(`${url}/v2/models/default.${name}/infer`, {
      method: 'POST',
      headers: { 'content-type': 'image/jpeg' },
      body: new Uint8Array(frame),
    }).then((response) => response.arrayBuffer().then(() => response.ok)),
  );
  return { tenant: name, sent: BURST, answered: (await Promise.all(answers)).filter(Boolean).length };
}

/** What the same device and cameras come to under the paper's discipline, and under ours. */
export async function disciplines(work: string, profile: string, seconds: number): Promise<string> {
  const rows: string[][] = [];
  for (const policy of ['paper', 'dynamic-batcher', 'no-spare', 'rounds'] as const) {
    const options = { seed: 1, durationUs: seconds * 1_000_000, faults: [], adaptation: true, policy };
    const { tenants, devices } = await simulateFiles(join(work, 'manifests'), [profile], options);
    const real = tenants.filter(({ name }) => name !== BEST_EFFORT);
    const sum = (pick: (tenant: (typeof real)[number]) => number): string =>
      String(real.reduce((all, each) => all + pick(each), 0));
    rows.push([
      policy,
      sum(({ frames }) => frames),
      sum(({ onTime }) => onTime),
      sum(({ misses }) => misses),
      `${(100 * devices[0]!.busy).toFixed(0)}%`,
    ]);
  }
  return table(['POLICY', 'FRAMES', 'IN TIME', 'PROMISED AND LATE', 'BUSY'], rows);
}

/** A sign of life while the cameras play. */
export async function soFar(url: string): Promise<string> {
  const text = await fetch(`${url}/metrics`).then(
    (response) => response.text(),
    () => '',
  );
  const total = (pattern: RegExp): number =>
    [...text.matchAll(pattern)].reduce((sum, [, value]) => sum + Number(value), 0);
  return `  ${total(/^deeprt_frames_total\{[^}]*outcome="onTime"\} (\d+)/gm)} frames answered in time, ${total(/^deeprt_deadline_misses_total\{[^}]*\} (\d+)/gm)} late`;
}
