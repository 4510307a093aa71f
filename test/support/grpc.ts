import type { MethodDefinition, ServiceClientConstructor, ServiceError } from '@grpc/grpc-js';
import { Client, Metadata, credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import { SCHEMA } from '../../agent/ingest/grpc/schema.js';

type Call = (request: object, metadata: Metadata, done: (error: ServiceError | null, answer: object) => void) => void;

const LOADED = loadPackageDefinition(fromJSON(SCHEMA, { keepCase: true, longs: String })) as unknown as {
  inference: { GRPCInferenceService: ServiceClientConstructor };
};

/** A method as clients call it. */
export const grpcMethod = (name: string): MethodDefinition<object, object> =>
  LOADED.inference.GRPCInferenceService.service[name] as MethodDefinition<object, object>;

/** One that sends messages of ModelInfer as they are, right or wrong. */
export function rawGrpcClient(address: string): {
  encode(request: object): Buffer;
  call(message: Buffer, withinMs: number): Promise<Buffer>;
  outputs(answer: Buffer): Buffer[];
  close(): void;
} {
  const client = new Client(address, credentials.createInsecure());
  const infer = grpcMethod('ModelInfer');
  const same = (bytes: Buffer): Buffer => bytes;
  return {
    encode: (request) => infer.requestSerialize(request),
    call: (message, withinMs) =>
      new Promise((resolve, reject) =>
        client.makeUnaryRequest(
          infer.path,
          same,
          same,
          message,
          { deadline: Date.now() + withinMs },
          (error, answer) => (error === null ? resolve(answer!) : reject(error)),
        ),
      ),
    outputs: (answer) =>
      (infer.responseDeserialize(answer) as { raw_output_contents?: Buffer[] }).raw_output_contents ?? [],
    close: () => client.close(),
  };
}

/** A client of an agent's gRPC port: over TLS where a certificate is trusted, else in clear. */
export function grpcClient(
  address: string,
  trusted?: string,
): { call<T>(method: string, request: object, headers?: Readonly<Record<string, string>>): Promise<T>; close(): void } {
  const secure =
    trusted === undefined
      ? credentials.createInsecure()
      : credentials.createSsl(Buffer.from(trusted), null, null, { checkServerIdentity: () => undefined });
  const client = new LOADED.inference.GRPCInferenceService(address, secure);
  return {
    call: <T>(method: string, request: object, headers: Readonly<Record<string, string>> = {}) => {
      const metadata = new Metadata();
      for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
      return new Promise<T>((resolve, reject) =>
        (client[method] as unknown as Call).call(client, request, metadata, (error, answer) =>
          error === null ? resolve(answer as T) : reject(error),
        ),
      );
    },
    close: () => client.close(),
  };
}
