import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { nowUs } from '../../kube/clock.js';
import { pinProcess } from '../device/cores.js';
import { FramePool } from '../device/frame-pool.js';
import { inputBytes } from '../frames.js';
import type { DecodeStage } from '../ingest/decode/stage.js';
import type { FrameTaker } from '../ingest/passage.js';
import { refuseFrame } from '../ingest/answer.js';
import { HttpFrame } from '../ingest/http-frame.js';
import { FrameDoor } from '../ingest/frame.js';
import type { Answer } from '../serving/flights.js';
import type { DeviceService } from '../serving/service.js';
import type { Slot } from '../serving/slots.js';
import type { TenantTerms } from '../serving/tenant.js';
import { ServedTenant } from '../serving/tenant.js';
import type { Round } from './stage-client.js';

const SLOTS = 64;
const ELEMENTS = 4;

/** A frame that is sent, and the outputs that it is answered with. */
export interface Trial {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** Whether it is decoded, which takes far longer than receiving it. */
  readonly isImage: boolean;
  readonly terms: Pick<TenantTerms, 'inputs' | 'image'>;
  readonly outputs: Float32Array<ArrayBuffer>;
}

/** Takes frames as a device does, a message there and back included, and answers them at once. */
class Echo implements FrameTaker {
  readonly ready = true;
  readonly backlogUs = 0;
  readonly stages = undefined;
  outputs = new Float32Array(ELEMENTS);
  readonly #service: DeviceService;
  #pool: FramePool | undefined;

  constructor(service: DeviceService) {
    this.#service = service;
  }

  hasRoomForSpare(): boolean {
    return true;
  }

  takeSlot({ terms }: ServedTenant, promised: boolean): Slot | undefined {
    const bytes = inputBytes(terms.inputs);
    if (this.#pool?.slotBytes !== bytes) {
      this.#pool?.retire(() => undefined);
      this.#pool = new FramePool(0, bytes, SLOTS);
    }
    const index = this.#pool.take();
    return index === undefined ? undefined : { pool: this.#pool, index, promised };
  }

  giveSlot(_tenant: ServedTenant, { pool, index }: Slot): void {
    pool.give(index);
  }

  async submit(tenant: ServedTenant, slot: Slot, arrivedUs: number): Promise<Answer> {
    await this.#service.device.roundTrip();
    this.giveSlot(tenant, slot);
    const outputs = [{ name: 'out', type: 'float32', dims: [1, this.outputs.length], data: this.outputs }];
    const times = { arrivedUs, submittedUs: arrivedUs, startUs: arrivedUs, endUs: nowUs() };
    return {
      outputs,
      index: 0,
      batch: 1,
      outlived: false,
      shape: tenant.terms.shape,
      release: () => undefined,
      ...times,
    };
  }

  count(): void {
    // Nobody's books.
  }

  close(): void {
    this.#pool?.retire(() => undefined);
  }
}

/** The agent's own way of frames in and answers out, on a loopback address, with a client in another process. */
export class Loopback {
  readonly #echo: Echo;
  readonly #server: Server;
  readonly #client: ChildProcess;
  readonly #door: FrameDoor;
  #tenant: ServedTenant | undefined;

  /** @param cores where the client may run; anywhere when absent */
  constructor(service: DeviceService, decode: DecodeStage, cores: readonly number[] | undefined) {
    this.#echo = new Echo(service);
    const stageWatch = { decoded: () => undefined, handled: () => undefined };
    this.#door = new FrameDoor({ decode, promisedShare: 0, stageWatch });
    const app = express();
    app.post(
      '/:model',
      (req, res) =>
        void this.#door
          .take([{ service: this.#echo, tenant: this.#tenant! }], new HttpFrame(req, res))
          .catch((error: unknown) => refuseFrame(res, error)),
    );
    this.#server = createServer(app).listen(0, '127.0.0.1');
    this.#client = fork(new URL('./stage-client.js', import.meta.url), {
      serialization: 'advanced',
      stdio: ['ignore', 2, 2, 'ipc'],
      execArgv: [],
    });
    if (cores !== undefined && this.#client.pid !== undefined) pinProcess(cores, this.#client.pid);
  }

  /** The processor time that the event loop spends on one such frame, from its head to its answer, in microseconds. */
  async costUs({ headers, body, terms, outputs }: Trial, count: number): Promise<number> {
    if (!this.#server.listening) await once(this.#server, 'listening');
    this.#echo.outputs = outputs;
    this.#tenant = new ServedTenant({ ...ANYBODY, ...terms });
    const url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/measure`;
    const before = process.threadCpuUsage();
    const over = new AbortController();
    const [done, failed] = ['message', 'exit'].map((event) => once(this.#client, event, { signal: over.signal }));
    failed!.catch(() => undefined);
    this.#client.send({ url, headers, body, count } satisfies Round);
    const [first] = (await Promise.race([done!, failed!])) as unknown[];
    over.abort();
    if (first !== 'done') throw new Error('the client that measures receiving has failed');
    const { user, system } = process.threadCpuUsage(before);
    return (user + system) / count;
  }

  async stop(): Promise<void> {
    this.#client.kill('SIGKILL');
    this.#echo.close();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const ANYBODY: Omit<TenantTerms, 'inputs' | 'image'> = {
  namespace: 'deeprt',
  name: 'measure',
  category: 'measure',
  model: 'measure',
  shape: [1, 1, 1],
  deepest: 0,
  late: 'serve',
  beside: 0,
  senders: undefined,
  promised: true,
  beyond: 'serve',
  latest: false,
  streams: SLOTS,
  periodUs: 1,
  jitterUs: 0,
  deadlineUs: Infinity,
  slots: SLOTS,
  covered: { receiveUs: Infinity, decodeUs: Infinity, bytes: Infinity, answerUs: 0 },
  decodeDueUs: 0,
  answerDueUs: 0,
  gapUs: Infinity,
  runUs: 0,
  layout: 'NCHW',
  outputs: [],
};
