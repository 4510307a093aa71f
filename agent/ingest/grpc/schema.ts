/**
 * The messages of `inference.GRPCInferenceService`, as far as they are offered: the Open Inference Protocol v2 with Triton's
 * extensions. The numbers are the protocol's, so that its clients fit; fields that nobody fills here are left out.
 */

interface Field {
  readonly id: number;
  readonly type: string;
  readonly rule?: 'repeated';
  readonly keyType?: string;
}
interface Message {
  readonly fields: Readonly<Record<string, Field>>;
  readonly oneofs?: object;
  readonly options?: object;
  readonly nested?: Readonly<Record<string, Message>>;
}

const FIELD = /^(repeated )?(?:map<(\w+),(\w+)>|(\w+)) (\w+) = (\d+)$/;

/** A message of fields such as `repeated int64 shape = 3`, separated by `;`. */
function message(text: string, more: Omit<Message, 'fields'> = {}): Message {
  const fields = text
    .split(';')
    .map((field) => field.trim())
    .filter((field) => field !== '')
    .map((field): [string, Field] => {
      const [, repeated, keyType, valueType, type, name, id] = FIELD.exec(field)!;
      const shape = repeated === undefined ? {} : { rule: 'repeated' as const };
      return [
        name!,
        { id: Number(id), type: (valueType ?? type)!, ...(keyType === undefined ? {} : { keyType }), ...shape },
      ];
    });
  return { fields: Object.fromEntries(fields), ...more };
}

const NAMED = 'string name = 1; string version = 2';
const TENSOR = 'string name = 1; string datatype = 2; repeated int64 shape = 3';
const PARAMETERS = 'map<string,InferParameter> parameters = 4';

const MESSAGES: Readonly<Record<string, Message>> = {
  ServerLiveRequest: message(''),
  ServerLiveResponse: message('bool live = 1'),
  ServerReadyRequest: message(''),
  ServerReadyResponse: message('bool ready = 1'),
  ModelReadyRequest: message(NAMED),
  ModelReadyResponse: message('bool ready = 1'),
  ServerMetadataRequest: message(''),
  ServerMetadataResponse: message(`${NAMED}; repeated string extensions = 3`),
  ModelMetadataRequest: message(NAMED),
  ModelMetadataResponse: message(
    'string name = 1; repeated string versions = 2; string platform = 3; repeated TensorMetadata inputs = 4; repeated TensorMetadata outputs = 5',
    { nested: { TensorMetadata: message(TENSOR) } },
  ),
  InferParameter: message(
    'bool bool_param = 1; int64 int64_param = 2; string string_param = 3; double double_param = 4; uint64 uint64_param = 5',
    {
      oneofs: {
        parameter_choice: { oneof: ['bool_param', 'int64_param', 'string_param', 'double_param', 'uint64_param'] },
      },
    },
  ),
  InferTensorContents: message(
    'repeated bool bool_contents = 1; repeated int32 int_contents = 2; repeated int64 int64_contents = 3; repeated uint32 uint_contents = 4; repeated uint64 uint64_contents = 5; repeated float fp32_contents = 6; repeated double fp64_contents = 7; repeated bytes bytes_contents = 8',
  ),
  ModelInferRequest: message(
    `string model_name = 1; string model_version = 2; string id = 3; ${PARAMETERS}; repeated InferInputTensor inputs = 5; repeated InferRequestedOutputTensor outputs = 6; repeated bytes raw_input_contents = 7`,
    {
      nested: {
        InferInputTensor: message(`${TENSOR}; ${PARAMETERS}; InferTensorContents contents = 5`),
        InferRequestedOutputTensor: message('string name = 1; map<string,InferParameter> parameters = 2'),
      },
    },
  ),
  ModelInferResponse: message(
    `string model_name = 1; string model_version = 2; string id = 3; ${PARAMETERS}; repeated InferOutputTensor outputs = 5; repeated bytes raw_output_contents = 6`,
    { nested: { InferOutputTensor: message(`${TENSOR}; ${PARAMETERS}`) } },
  ),
  ModelStreamInferResponse: message('string error_message = 1; ModelInferResponse infer_response = 2'),
  ModelConfigRequest: message(NAMED),
  ModelConfigResponse: message('ModelConfig config = 1'),
  ModelConfig: message(
    'string name = 1; string platform = 2; int32 max_batch_size = 4; repeated ModelInput input = 5; repeated ModelOutput output = 6; string backend = 17',
  ),
  ModelInput: message('string name = 1; DataType data_type = 2; repeated int64 dims = 4'),
  ModelOutput: message('string name = 1; DataType data_type = 2; repeated int64 dims = 3'),
  ModelStatisticsRequest: message(NAMED),
  ModelStatisticsResponse: message('repeated ModelStatistics model_stats = 1'),
  ModelStatistics: message(
    `${NAMED}; uint64 last_inference = 3; uint64 inference_count = 4; uint64 execution_count = 5; InferStatistics inference_stats = 6`,
  ),
  InferStatistics: message(
    [
      'StatisticDuration success = 1; StatisticDuration fail = 2; StatisticDuration queue = 3',
      'StatisticDuration compute_input = 4; StatisticDuration compute_infer = 5; StatisticDuration compute_output = 6',
      'StatisticDuration cache_hit = 7; StatisticDuration cache_miss = 8',
    ].join(';'),
  ),
  StatisticDuration: message('uint64 count = 1; uint64 ns = 2'),
  RepositoryIndexRequest: message('string repository_name = 1; bool ready = 2'),
  RepositoryIndexResponse: message('repeated ModelIndex models = 1', {
    nested: { ModelIndex: message('string name = 1; string version = 2; string state = 3; string reason = 4') },
  }),
};

const DATA_TYPES = [
  'INVALID',
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'FP32',
  'FP64',
  'STRING',
  'BF16',
];

const UNARY = [
  'ServerLive',
  'ServerReady',
  'ModelReady',
  'ServerMetadata',
  'ModelMetadata',
  'ModelInfer',
  'ModelConfig',
  'ModelStatistics',
  'RepositoryIndex',
];

const methods = {
  ...Object.fromEntries(
    UNARY.map((name) => [name, { requestType: `${name}Request`, responseType: `${name}Response` }]),
  ),
  ModelStreamInfer: {
    requestType: 'ModelInferRequest',
    requestStream: true,
    responseType: 'ModelStreamInferResponse',
    responseStream: true,
  },
};

const schemaOf = (messages: Readonly<Record<string, Message>>): object => ({
  options: { syntax: 'proto3' },
  nested: {
    inference: {
      nested: {
        ...messages,
        DataType: { values: Object.fromEntries(DATA_TYPES.map((name, i) => [`TYPE_${name}`, i])) },
        GRPCInferenceService: { methods },
      },
    },
  },
});

/** As protobuf.js reads it. */
export const SCHEMA = schemaOf(MESSAGES);

/**
 * A message with its maps written out, as protoc has them: a repeated entry, named after the field. protobuf.js names it otherwise
 * where it makes descriptors itself, which other languages' libraries refuse.
 */
function withEntries({ fields, nested = {}, ...rest }: Message): Message {
  const entries: Record<string, Message> = {};
  const written = Object.entries(fields).map(([name, { id, type, keyType, ...field }]): [string, Field] => {
    if (keyType === undefined) return [name, { id, type, ...field }];
    const entry = `${name[0]!.toUpperCase()}${name.slice(1)}Entry`;
    entries[entry] = {
      fields: { key: { id: 1, type: keyType }, value: { id: 2, type } },
      options: { map_entry: true },
    };
    return [name, { id, type: entry, rule: 'repeated' }];
  });
  const inner = Object.entries(nested).map(([name, each]): [string, Message] => [name, withEntries(each)]);
  return { ...rest, fields: Object.fromEntries(written), nested: { ...Object.fromEntries(inner), ...entries } };
}

/** The same for those who ask what the service is (server reflection). */
export const REFLECTED = schemaOf(
  Object.fromEntries(Object.entries(MESSAGES).map(([name, each]) => [name, withEntries(each)])),
);
