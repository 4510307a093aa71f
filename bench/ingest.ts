import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { firstRowNetwork } from '../test/support/onnx.js';
import { newWorkspace, tenantManifest } from '../test/support/workspace.js';
import type { Figure } from './figure.js';

const SHAPE = [3, 224, 224] as const;
const SECONDS = 6;
const FORMS = ['Tensor', 'JSON', '640x480', '1920x1080', '3840x2160'];
/** Part of what a bare handler takes. */
const AIM = 0.7;

const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Pinned to one core where the machine has taskset and cores to choose from. */
function startOn(core: number, args: string[]): ChildProcess {
  const pinned = process.platform === 'linux' && availableParallelism() > 1;
  const [command, rest] = pinned
    ? ['taskset', ['-c', String(core), process.execPath, ...args]]
    : [process.execPath, args];
  return spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function lineFrom(child: ChildProcess, pattern: RegExp): Promise<string> {
  let text = '';
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    text += chunk.toString();
    const match = pattern.exec(text);
    if (match !== null) return match[1]!;
  }
  throw new Error(`the process ended without ${pattern.source}: ${text}`);
}

async function framesPerSecond(server: ChildProcess, path: string): Promise<Map<string, number>> {
  try {
    const url = await lineFrom(server, /listening on (\S+)/);
    const rates = new Map<string, number>();
    for (const form of FORMS) {
      const client = startOn(1, [script('./raw-client.js'), url + path, form, String(SECONDS)]);
      rates.set(form, Number(await lineFrom(client, /([0-9.]+) frames a second/)));
    }
    return rates;
  } finally {
    const ended = once(server, 'exit');
    server.kill('SIGTERM');
    await ended;
  }
}

/** Frames of each form into an agent that has one core for everything, against a bare Express handler, with sharp for images, on the same core. */
export async function benchIngest(): Promise<Figure[]> {
  const workspace = await newWorkspace();
  try {
    await workspace.write(
      'all.yaml',
      await workspace.model('first-row', firstRowNetwork(['n', ...SHAPE]), {
        input: { name: 'in', elementType: 'uint8' },
        shapes: [SHAPE],
        maxBatchSize: 32,
      }),
      // Best effort: the frames that one core can take, not those that were promised. Its rate lets all of them in.
      tenantManifest('raw', {
        modelRef: { name: 'first-row' },
        inputShape: SHAPE,
        class: 'BestEffort',
        streams: 100,
        framesPerSecond: 200,
        deadline: undefined,
        frames: { encoding: 'JPEG', width: 3840, height: 2160 },
      }),
    );
    const bare = await framesPerSecond(startOn(0, [script('./bare-server.js')]), '/');
    const agent = await framesPerSecond(
      startOn(0, [script('./agent-server.js'), workspace.dir, workspace.state]),
      '/v2/models/default.raw/infer',
    );
    return FORMS.flatMap((form): Figure[] => {
      const name = form.includes('x') ? `JPEG ${form}` : `${form} 3x224x224`;
      const ratio = agent.get(form)! / bare.get(form)!;
      return [
        { name: `${name}: frames a second, agent on one core`, value: agent.get(form)!, unit: '1/s' },
        { name: `${name}: against a bare handler`, value: ratio, unit: 'x', aim: `>= ${AIM} x`, met: ratio >= AIM },
      ];
    });
  } finally {
    await workspace.dispose();
  }
}
