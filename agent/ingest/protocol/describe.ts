import type { ServedTenant } from '../../serving/tenant.js';
import { datatypeOf } from './datatypes.js';

/** What the protocol tells of a tenant's model: metadata, Triton's configuration, statistics. */

const PLATFORM = 'onnxruntime_onnx';

interface Tensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
}

function tensorsOf({ terms: { inputs, outputs } }: ServedTenant): { inputs: Tensor[]; outputs: Tensor[] } {
  return {
    inputs: inputs.map(({ name, dims, elementType }) => ({
      name,
      datatype: datatypeOf(elementType),
      shape: [1, ...dims],
    })),
    outputs: outputs.map(({ name, type, dims }) => ({
      name,
      datatype: datatypeOf(type),
      shape: dims,
    })),
  };
}

/** Model metadata (Open Inference Protocol v2). */
export const metadataOf = (name: string, tenant: ServedTenant): object => ({
  name,
  versions: ['1'],
  platform: PLATFORM,
  ...tensorsOf(tenant),
});

/** Model configuration (Triton's extension): one frame a request; batches are made here. */
export function configurationOf(name: string, tenant: ServedTenant): object {
  const { inputs, outputs } = tensorsOf(tenant);
  const configured = ({ name: own, datatype, shape }: Tensor): object => ({
    name: own,
    data_type: `TYPE_${datatype === 'BYTES' ? 'STRING' : datatype}`,
    dims: shape,
  });
  return {
    name,
    platform: PLATFORM,
    backend: 'onnxruntime',
    max_batch_size: 0,
    input: inputs.map(configured),
    output: outputs.map(configured),
  };
}

const duration = (count: number, us: number): object => ({ count, ns: Math.round(1000 * us) });

/** Statistics since the agent started (Triton's extension), over all devices that serve the tenant. */
export function statisticsOf(name: string, parts: readonly ServedTenant[]): object {
  const sum = (figure: (part: ServedTenant) => number): number => parts.reduce((all, part) => all + figure(part), 0);
  const answered = sum((part) => part.answered);
  const failed = sum(
    ({ outcomes: { dropped, failed: broken, refused, invalid } }) => dropped + broken + refused + invalid,
  );
  const [input, queue, infer, output] = (['input', 'queue', 'infer', 'output'] as const).map((stage) =>
    sum(({ spentUs }) => spentUs[stage]),
  ) as [number, number, number, number];
  return {
    name,
    version: '1',
    inference_count: answered,
    execution_count: Math.round(sum(({ executions }) => executions)),
    inference_stats: {
      success: duration(answered, input + queue + infer + output),
      fail: duration(failed, 0),
      queue: duration(answered, queue),
      compute_input: duration(answered, input),
      compute_infer: duration(answered, infer),
      compute_output: duration(answered, output),
      cache_hit: duration(0, 0),
      cache_miss: duration(0, 0),
    },
    batch_stats: [],
  };
}
