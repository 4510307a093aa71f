import type { ResourceOf } from '../../api/manifests.js';
import type { Layout } from '../../api/names.js';
import { shapeText } from '../../api/names.js';
import type { CompleteModel, ElementType } from '../frames.js';
import { ELEMENT_ARRAYS, networkDims } from '../frames.js';
import type { Message } from './onnx-head.js';
import { messagesIn, readHead, textIn } from './onnx-head.js';
import { objectionToOperators } from './operators.js';

type Model = ResourceOf<'InferenceModel'>;

/** ONNX's element types (onnx.proto, `TensorProto.DataType`), as ONNX Runtime calls them. */
const ELEMENT_TYPES: readonly string[] = [
  ...['undefined', 'float32', 'uint8', 'int8', 'uint16', 'int16', 'int32', 'int64', 'string', 'bool', 'float16'],
  ...['float64', 'uint32', 'uint64', 'complex64', 'complex128', 'bfloat16', 'float8e4m3fn', 'float8e4m3fnuz'],
  ...['float8e5m2', 'float8e5m2fnuz', 'uint4', 'int4', 'float4e2m1'],
];
/** Numbers of channels that images have. */
const CHANNELS = [1, 3, 4];
/** What frames of several shapes can be made smaller in. */
const RESIZED: readonly string[] = ['float32', 'uint8'];

/** An input or output as the network declares it; an axis without a number is free. */
interface Declared {
  readonly name: string;
  readonly type: string;
  readonly axes: readonly (number | string)[] | undefined;
}

function declared(value: Message): Declared {
  const [type] = messagesIn(value, 'type');
  const [tensor] = messagesIn(type, 'tensor');
  const [shape] = messagesIn(tensor, 'shape');
  const other = ['sequence', 'map', 'optional', 'sparse'].find((kind) => type?.[kind] !== undefined);
  const element = (tensor?.['element']?.at(-1) ?? 0) as number;
  const axis = (dim: Message): number | string => {
    const size = dim['value']?.at(-1);
    return typeof size === 'number' && Number.isSafeInteger(size) ? size : textIn(dim, 'name') || '?';
  };
  return {
    name: textIn(value, 'name'),
    type: other ?? ELEMENT_TYPES[element] ?? `type ${element}`,
    axes: shape === undefined ? undefined : messagesIn(shape, 'dim').map(axis),
  };
}

const isServed = (type: string): type is ElementType => Object.hasOwn(ELEMENT_ARRAYS, type);

const described = ({ name, type, axes }: Declared): string => `"${name}" (${type}[${axes?.join(', ') ?? '?'}])`;

/** The model with what its manifest leaves to the network in this file. @throws Error naming the model and what is wrong */
export function completeFrom(model: Model, path: string): CompleteModel {
  try {
    return complete(model, headOf(path));
  } catch (error) {
    throw new Error(`model "${model.metadata.name}": ${(error as Error).message}`, { cause: error });
  }
}

function headOf(path: string): Message {
  try {
    return readHead(path);
  } catch (error) {
    throw new Error(`its file is no ONNX network: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * The model with everything that its manifest leaves to its network: which input frames are for, its type and its axes' order,
 * the shape, the tensors that come beside it, and whether frames can share a batch.
 *
 * @throws Error saying what cannot be served, and what to do
 */
export function complete(model: Model, head: Message): CompleteModel {
  const [graph] = messagesIn(head, 'graph');
  if (graph === undefined) throw new Error('its file is no ONNX network');
  const operators = objectionToOperators(head);
  if (operators !== undefined) throw new Error(operators);
  const outputs = messagesIn(graph, 'output').map(declared);
  outputs.forEach(checkOutput);
  const constants = new Set(messagesIn(graph, 'initializer').map((tensor) => textIn(tensor, 'name')));
  const inputs = messagesIn(graph, 'input')
    .map(declared)
    .filter(({ name }) => !constants.has(name));
  const main = mainInput(model, inputs);
  const { batch, ...found } = mainShape(model, main);
  const others = inputs.filter(({ name }) => name !== main.name).map((input) => otherInput(model, input));
  for (const { name } of model.spec.otherInputs ?? [])
    if (!others.some((other) => other.name === name))
      throw new Error(`it has no input "${name}" (spec.otherInputs) beside "${main.name}"`);
  const together = batch === 'free' && others.every((other) => other.batched);
  return {
    ...model,
    spec: {
      ...model.spec,
      ...found,
      otherInputs: others.map(({ batched: _, ...other }) => other),
      batching: together ? (model.spec.batching ?? 'Auto') : 'None',
    },
    outputAxes: new Map(
      outputs.flatMap(({ name, axes }) => (axes === undefined ? [] : [[name, oneFrame(axes, main)]])),
    ),
  };
}

/** An output's axes for one frame: those that are called as the batch axis is are of one, others without a number are free. */
const oneFrame = (axes: readonly (number | string)[], { axes: [batch] = [] }: Declared): number[] =>
  axes.map((axis) => (typeof axis === 'number' ? axis : axis === batch ? 1 : -1));

function checkOutput({ name, type }: Declared): void {
  if (isServed(type) || type === 'string' || type === 'undefined') return;
  const is = ['sequence', 'map', 'optional', 'sparse'].includes(type) ? `a ${type}, not a tensor` : `of type ${type}`;
  const how = is.startsWith('a ') ? 'one tensor' : 'float32, with a Cast at its end';
  throw new Error(
    `its output "${name}" is ${is}, which cannot be served; export the network with ${how}, or without it`,
  );
}

function mainInput({ spec }: Model, inputs: readonly Declared[]): Declared & { readonly type: ElementType } {
  const { name, elementType } = spec.input ?? {};
  const takes = `the network takes ${inputs.map(described).join(', ') || 'nothing'}`;
  const images = inputs.filter(({ axes }) => axes?.length === 4);
  const found =
    name === undefined
      ? [inputs, images].find(({ length }) => length === 1)?.[0]
      : inputs.find((input) => input.name === name);
  if (found === undefined)
    throw new Error(
      name === undefined
        ? `spec.input.name must say which input frames are for; ${takes}`
        : `it has no input "${name}" (spec.input.name); ${takes}`,
    );
  const { type } = found;
  if (!isServed(type))
    throw new Error(
      `its input "${found.name}" is of type ${type}, which frames cannot be; export it with float32 or uint8`,
    );
  if (elementType !== undefined && elementType !== type)
    throw new Error(`its input "${found.name}" is of type ${type}, not ${elementType} (spec.input.elementType)`);
  return { ...found, type };
}

type MainShape = Pick<CompleteModel['spec'], 'input' | 'shapes'> & { readonly batch: 'free' | 'one' };

function mainShape({ spec }: Model, { name, type, axes }: Declared & { readonly type: ElementType }): MainShape {
  const input = (layout: Layout): CompleteModel['spec']['input'] => ({ name, elementType: type, layout });
  const declaredLayout = spec.input?.layout;
  const what = `its input "${name}" is [${axes?.join(', ') ?? '?'}]`;
  const { shapes } = spec;
  if (shapes !== undefined && shapes.length > 1 && (!RESIZED.includes(type) || shapes[0]!.length !== 3))
    throw new Error(
      `${what} of ${type}; only images of ${RESIZED.join(' and ')} can be offered in several spec.shapes`,
    );
  if (axes === undefined) {
    if (shapes === undefined) throw new Error(`its input "${name}" does not say its axes; say spec.shapes`);
    return { input: input(declaredLayout ?? 'NCHW'), shapes, batch: 'free' };
  }
  const [first] = axes;
  const rank =
    shapes?.[0]?.length ?? axes.length - (axes.length === 4 || typeof first !== 'number' || first === 1 ? 1 : 0);
  if (axes.length !== rank && axes.length !== rank + 1)
    throw new Error(
      `${what}: frames of ${shapeText(shapes?.[0] ?? [])} (spec.shapes) do not fit, with a batch axis or without`,
    );
  const hasBatch = axes.length === rank + 1;
  if (hasBatch && typeof first === 'number' && first !== 1)
    throw new Error(
      `${what}, batches of exactly ${first}; export it with a free batch axis (torch.onnx.export(dynamic_axes=…), or dynamic_shapes)`,
    );
  const own = hasBatch ? axes.slice(1) : axes;
  const layout = declaredLayout ?? layoutOf(own);
  const batch = hasBatch && typeof first !== 'number' ? 'free' : 'one';
  if (shapes === undefined) return { input: input(layout), shapes: [ownShape(own, layout, what)], batch };
  for (const shape of shapes) {
    if (fits(own, networkDims(shape, layout))) continue;
    const other = layout === 'NCHW' ? 'NHWC' : 'NCHW';
    const remedy = fits(own, networkDims(shape, other)) ? `set spec.input.layout to ${other}` : 'correct spec.shapes';
    throw new Error(`${what}: frames of ${shapeText(shape)} in ${layout} do not fit; ${remedy}`);
  }
  return { input: input(layout), shapes, batch };
}

const fits = (own: readonly (number | string)[], dims: readonly number[]): boolean =>
  own.length === dims.length && own.every((axis, i) => typeof axis !== 'number' || axis === dims[i]);

/** Channels are few. */
function layoutOf(own: readonly (number | string)[]): Layout {
  const few = (axis: number | string | undefined): boolean => CHANNELS.includes(axis as number);
  return own.length === 3 && few(own[2]) && !few(own[0]) ? 'NHWC' : 'NCHW';
}

function ownShape(own: readonly (number | string)[], layout: Layout, what: string): number[] {
  const fixed = own.filter((axis) => typeof axis === 'number');
  if (fixed.length < own.length) throw new Error(`${what}, with free axes; say in spec.shapes how large frames are`);
  return layout === 'NHWC' ? [fixed[2]!, fixed[0]!, fixed[1]!] : fixed;
}

type OtherInput = CompleteModel['spec']['otherInputs'][number] & { readonly batched: boolean };

function otherInput({ spec }: Model, { name, type, axes }: Declared): OtherInput {
  const { shape, elementType } = spec.otherInputs?.find((other) => other.name === name) ?? {};
  const what = `its input "${name}" is ${type}[${axes?.join(', ') ?? '?'}]`;
  const remedy = `say its shape without the batch axis in spec.otherInputs, for instance { name: ${name}, shape: [2] }`;
  if (!isServed(type)) throw new Error(`${what}, which frames cannot bring; export it with numbers, or as a constant`);
  if (elementType !== undefined && elementType !== type)
    throw new Error(`${what}, not ${elementType} (spec.otherInputs)`);
  if (axes === undefined && shape === undefined) throw new Error(`${what}; ${remedy}`);
  const batched = shape === undefined ? typeof axes![0] === 'string' || axes![0] === 1 : axes?.length !== shape.length;
  const own = batched ? axes?.slice(1) : axes;
  if (shape !== undefined) {
    if (own !== undefined && !fits(own, shape))
      throw new Error(`${what}; spec.otherInputs says ${shapeText(shape)}, which does not fit`);
    return { name, elementType: type, shape, batched };
  }
  const fixed = own!.filter((axis) => typeof axis === 'number');
  if (fixed.length < own!.length) throw new Error(`${what}, with free axes; ${remedy}`);
  return { name, elementType: type, shape: fixed, batched };
}
