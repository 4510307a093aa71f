import type { ServiceClientConstructor, ServiceError } from '@grpc/grpc-js';
import { Metadata, credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import { SCHEMA } from '../../agent/ingest/grpc/schema.js';

type Call = (request: object, metadata: Metadata, done: (error: ServiceError | null, answer: object) => void) => void;

/** A client of an agent's gRPC port: over TLS where a certificate is trusted, else in clear. */
export function grpcClient(
  address: string,
  trusted?: string,
): { call<T>(method: string, request: object, headers?: Readonly<Record<string, string>>): Promise<T>; close(): void } {
  const { inference } = loadPackageDefinition(
    fromJSON(SCHEMA as Parameters<typeof fromJSON>[0], { keepCase: true, longs: String }),
  ) as unknown as { inference: { GRPCInferenceService: ServiceClientConstructor } };
  const secure =
    trusted === undefined
      ? credentials.createInsecure()
      : credentials.createSsl(Buffer.from(trusted), null, null, { checkServerIdentity: () => undefined });
  const client = new inference.GRPCInferenceService(address, secure);
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
