import type { ClientDuplexStream } from '@grpc/grpc-js';
import { Client, credentials } from '@grpc/grpc-js';
import { Pool } from 'undici';
import { grpcMethod } from '../../test/support/grpc.js';
import type { Sender } from './cameras.js';

/** Clients that ask one time after the other, by protocol. */

/** Asks once; resolves to whether that was answered as it should be. */
export type Ask = () => Promise<boolean>;
export interface Asking {
  /** One with a connection or a stream of its own. */
  readonly asker: () => Ask;
  readonly close: () => Promise<void>;
}

const CONNECTIONS = 64;

/** Over HTTP with keep-alive. */
export function rest(url: string, { path, headers, body }: Sender): Asking {
  const pool = new Pool(url, { connections: CONNECTIONS });
  return {
    asker: () => async () => {
      try {
        const { statusCode, body: answer } = await pool.request({ method: 'POST', path, headers, body });
        await answer.arrayBuffer();
        return statusCode === 200;
      } catch {
        return false; // a server may close what it has enough of
      }
    },
    close: () => pool.destroy(),
  };
}

/** By ModelInfer. */
export function unary(address: string, request: object): Asking {
  const client = new Client(address, credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = grpcMethod('ModelInfer');
  return {
    asker: () => () =>
      new Promise((resolve) =>
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error) =>
          resolve(error === null),
        ),
      ),
    close: () => Promise.resolve(client.close()),
  };
}

/** By ModelStreamInfer, a stream an asker. */
export function streamed(address: string, request: object): Asking {
  const client = new Client(address, credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = grpcMethod('ModelStreamInfer');
  const streams: ClientDuplexStream<object, object>[] = [];
  return {
    asker: () => {
      const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
      streams.push(stream);
      let answered: (good: boolean) => void = () => undefined;
      stream.on('data', ({ error_message }: { error_message?: string }) => answered((error_message ?? '') === ''));
      stream.on('error', () => answered(false));
      return () =>
        new Promise((resolve) => {
          answered = resolve;
          stream.write(request);
        });
    },
    close: () => {
      for (const stream of streams) stream.cancel();
      return Promise.resolve(client.close());
    },
  };
}
