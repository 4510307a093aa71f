import type { ServiceError, StatusObject } from '@grpc/grpc-js';
import { Metadata, status } from '@grpc/grpc-js';
import { FrameDropped, FrameFailure } from '../../serving/flights.js';
import { ClientGone } from '../body.js';
import { BadRequest } from '../protocol/bad-request.js';
import { Busy } from '../refusals.js';

/** The gRPC status of a refusal by its HTTP status (google.rpc.Code); docs/clients.md has the same table. */
const BY_HTTP: Readonly<Record<number, status>> = {
  400: status.INVALID_ARGUMENT,
  401: status.UNAUTHENTICATED,
  403: status.PERMISSION_DENIED,
  404: status.NOT_FOUND,
  413: status.RESOURCE_EXHAUSTED,
  415: status.INVALID_ARGUMENT,
};

function codeOf(error: unknown): readonly [status: status, code: string] {
  if (error instanceof BadRequest) return [BY_HTTP[error.status] ?? status.INVALID_ARGUMENT, error.code];
  if (error instanceof Busy) return [status.RESOURCE_EXHAUSTED, error.code];
  if (error instanceof FrameDropped) return [status.DEADLINE_EXCEEDED, error.code];
  if (error instanceof FrameFailure) return [status.UNAVAILABLE, error.code];
  return error instanceof ClientGone ? [status.CANCELLED, 'ClientGone'] : [status.INTERNAL, 'InternalError'];
}

/** Why a call is not answered, with the stable code in `deeprt-code`, and in `retry-after-ms` when to try again. */
export function refusalOf(error: unknown): Partial<ServiceError> & Pick<StatusObject, 'code' | 'details'> {
  const [code, name] = codeOf(error);
  const metadata = new Metadata();
  metadata.set('deeprt-code', name);
  if (error instanceof Busy) metadata.set('retry-after-ms', `${Math.ceil(error.retryAfterUs / 1000)}`);
  return {
    name,
    message: `${(error as Error).message} [${name}]`,
    code,
    details: `${(error as Error).message} [${name}]`,
    metadata,
  };
}
