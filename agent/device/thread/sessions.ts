import ort from 'onnxruntime-node';
import { shapeText } from '../../../api/names.js';
import { frameBytes } from '../../frames.js';
import type { ElementType, OutputTensor } from '../../frames.js';
import type { LoadedModel } from '../messages.js';
import type { SessionSettings } from '../providers/providers.js';
import { sessionOptions } from '../providers/providers.js';

/** One network on the device, with the memory that its batches are packed in. */
export class Session {
  readonly #session: ort.InferenceSession;
  readonly #model: LoadedModel;
  #batch = new ArrayBuffer(0);

  private constructor(session: ort.InferenceSession, model: LoadedModel) {
    this.#session = session;
    this.#model = model;
  }

  /** @throws Error naming the model when the file is no ONNX network or its input is not as declared */
  static async open(model: LoadedModel, settings: SessionSettings): Promise<Session> {
    let session: ort.InferenceSession;
    try {
      session = await ort.InferenceSession.create(model.path, sessionOptions(settings));
    } catch (error) {
      throw new Error(
        `model "${model.name}": ONNX Runtime (${settings.provider}) cannot load ${model.path}; is it an ONNX file that this provider supports? ${(error as Error).message}`,
        { cause: error },
      );
    }
    const inputs = session.inputMetadata;
    const input = inputs.find(({ name }) => name === model.inputName);
    const describe = inputs
      .map((each) => (each.isTensor ? `${each.name}: ${each.type}[${each.shape.join(', ')}]` : each.name))
      .join('; ');
    const wrong = (what: string): Error => new Error(`model "${model.name}": ${what}; the network takes ${describe}`);
    if (input === undefined) throw wrong(`it has no input "${model.inputName}" (spec.input.name)`);
    if (inputs.length > 1) throw wrong('it has more than one input');
    if (!input.isTensor || input.type !== model.elementType)
      throw wrong(`its input is not of type ${model.elementType} (spec.input.elementType)`);
    if (input.shape.length !== 4) throw wrong('its input is not of rank 4 (batch and spec.input.layout)');
    return new Session(session, model);
  }

  get elementType(): ElementType {
    return this.#model.elementType;
  }

  /** Says what is wrong with frames of these dimensions for the network's declared input; undefined when nothing. */
  objection(dims: readonly number[]): string | undefined {
    const input = this.#session.inputMetadata[0]!;
    if (!input.isTensor) return undefined;
    const declared = input.shape.slice(1);
    const wrong = declared.findIndex((dim, i) => typeof dim === 'number' && dim > 0 && dim !== dims[i]);
    if (wrong === -1) return undefined;
    return `model "${this.#model.name}": frames of ${shapeText(dims)} do not fit its input [${input.shape.join(', ')}] (spec.shapes, spec.input.layout)`;
  }

  /**
   * A batch as the network takes it, in memory that the next one uses again.
   *
   * @param fill writes frame `i`
   */
  pack(count: number, dims: readonly number[], fill: (into: Uint8Array, i: number) => void): ort.Tensor {
    const { elementType } = this.#model;
    const bytes = frameBytes(dims, elementType);
    if (this.#batch.byteLength < bytes * count) this.#batch = new ArrayBuffer(bytes * count);
    for (let i = 0; i < count; i++) fill(new Uint8Array(this.#batch, i * bytes, bytes), i);
    const shape = [count, ...dims];
    return elementType === 'float32'
      ? new ort.Tensor('float32', new Float32Array(this.#batch, 0, (bytes * count) / 4), shape)
      : new ort.Tensor('uint8', new Uint8Array(this.#batch, 0, bytes * count), shape);
  }

  async close(): Promise<void> {
    this.#batch = new ArrayBuffer(0);
    await this.#session.release();
  }

  /** Runs one batch. */
  async run(input: ort.Tensor): Promise<OutputTensor[]> {
    const { inputName } = this.#model;
    const results = await this.#session.run({ [inputName]: input });
    return Object.entries(results).map(([name, { type, dims, data }]) => {
      if (Array.isArray(data))
        throw new Error(
          `model "${this.#model.name}": its output "${name}" holds strings, which are not served; export the network without it`,
        );
      return { name, type, dims, data: data as OutputTensor['data'] };
    });
  }
}
