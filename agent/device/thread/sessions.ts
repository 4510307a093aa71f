import ort from 'onnxruntime-node';
import { ELEMENT_ARRAYS, Texts, frameBytes, inputBytes } from '../../frames.js';
import type { ExpectedInput, OutputTensor } from '../../frames.js';
import type { LoadedModel } from '../messages.js';
import type { SessionSettings } from '../providers/providers.js';
import { sessionOptions } from '../providers/providers.js';
import { explainLoadFailure } from './load-failure.js';

/** Tensors by the names of a network's inputs. */
export type Feeds = Readonly<Record<string, ort.Tensor>>;

export type Fill = (into: Uint8Array, i: number, input: ExpectedInput, offset: number) => void;

/** Of the largest elements, in bytes. */
const ALIGNMENT = 8;

/** One network on the device, with the memory that its batches are packed in. */
export class Session {
  readonly #session: ort.InferenceSession;
  readonly #model: LoadedModel;
  #batch = new ArrayBuffer(0);

  private constructor(session: ort.InferenceSession, model: LoadedModel) {
    this.#session = session;
    this.#model = model;
  }

  /** @throws Error naming the model when ONNX Runtime cannot load it */
  static async open(model: LoadedModel, settings: SessionSettings): Promise<Session> {
    let session: ort.InferenceSession;
    try {
      session = await ort.InferenceSession.create(model.path, sessionOptions(settings));
    } catch (error) {
      throw new Error(
        `model "${model.name}": ONNX Runtime (${settings.provider}) cannot load ${model.path}; ${explainLoadFailure((error as Error).message)}`,
        { cause: error },
      );
    }
    return new Session(session, model);
  }

  /**
   * A batch as the network takes it, in memory that the next one uses again.
   *
   * @param dims of a frame's main tensor
   * @param fill writes a tensor of frame `i`; `offset` says where it lies among the frame's bytes
   */
  pack(count: number, dims: readonly number[], fill: Fill): Feeds {
    const { inputs } = this.#model;
    const tensors = inputs.map((input, k) => (k === 0 ? { ...input, dims } : input));
    const bytes = inputBytes(tensors) * count;
    // Each tensor begins where elements of eight bytes may.
    const room = bytes + ALIGNMENT * tensors.length;
    if (this.#batch.byteLength < room) this.#batch = new ArrayBuffer(room);
    let [at, offset] = [0, 0];
    const feeds: Record<string, ort.Tensor> = {};
    for (const input of tensors) {
      const size = frameBytes(input.dims, input.elementType);
      for (let i = 0; i < count; i++) fill(new Uint8Array(this.#batch, at + i * size, size), i, input, offset);
      feeds[input.name] = this.#tensor(input, count, at);
      at = ALIGNMENT * Math.ceil((at + size * count) / ALIGNMENT);
      offset += size;
    }
    return feeds;
  }

  #tensor({ name, dims, elementType }: ExpectedInput, count: number, at: number): ort.Tensor {
    const own = this.#session.inputMetadata.find((each) => each.name === name);
    const hasBatch = own?.isTensor !== true || own.shape.length !== dims.length;
    const elements = count * dims.reduce((product, dim) => product * dim, 1);
    const data = new ELEMENT_ARRAYS[elementType](this.#batch, at, elements);
    const tensor = new ort.Tensor(elementType as 'float32', data as Float32Array, hasBatch ? [count, ...dims] : dims);
    // The binding knows no Float16Array, and the tensor's own constructor nothing else.
    if (elementType === 'float16') Object.assign(tensor, { cpuData: new Uint16Array(this.#batch, at, elements) });
    return tensor;
  }

  /** The name of the tensor that frames' dimensions are about. */
  get mainInput(): string {
    return this.#model.inputs[0]!.name;
  }

  async close(): Promise<void> {
    this.#batch = new ArrayBuffer(0);
    await this.#session.release();
  }

  /** Runs one batch. */
  async run(feeds: Feeds): Promise<OutputTensor[]> {
    const results = await this.#session.run(feeds);
    return Object.entries(results).map(([name, { type, dims, data }]) => ({
      name,
      type,
      dims,
      data: Array.isArray(data) ? new Texts(data) : (data as OutputTensor['data']),
    }));
  }
}
