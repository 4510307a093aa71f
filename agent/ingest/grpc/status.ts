import type { ServiceError, StatusObject } from '@grpc/grpc-js';
import { Metadata, status } from '@grpc/grpc-js';
import type { Told } from '../told.js';
import { toldOf } from '../told.js';

/** The gRPC status of a refusal by its HTTP status (google.rpc.Code); docs/clients.md has the same table. */
const BY_HTTP: Readonly<Record<number, status>> = {
  401: status.UNAUTHENTICATED,
  403: status.PERMISSION_DENIED,
  404: status.NOT_FOUND,
  413: status.RESOURCE_EXHAUSTED,
  429: status.RESOURCE_EXHAUSTED,
  500: status.INTERNAL,
  503: status.UNAVAILABLE,
};

const statusOf = ({ status: http, promised }: Told): status =>
  promised === undefined ? (BY_HTTP[http] ?? status.INVALID_ARGUMENT) : status.DEADLINE_EXCEEDED;

const [MOST_ENCODED, FEW] = [3000, 250];

const GONE: Told = { status: 499, code: 'ClientGone', error: 'nobody waits for the answer any more', headers: {} };

/** Why a call is not answered, with the stable code in `deeprt-code`, and in `retry-after-ms` when to try again. */
export function refusalOf(error: unknown): Partial<ServiceError> & Pick<StatusObject, 'code' | 'details'> {
  const told = toldOf(error) ?? GONE;
  const metadata = new Metadata();
  metadata.set('deeprt-code', told.code);
  if (told.retryAfterMs !== undefined) metadata.set('retry-after-ms', `${told.retryAfterMs}`);
  // It travels percent-encoded in a header, and larger ones than clients take are no answer at all.
  const text = encodeURI(told.error).length > MOST_ENCODED ? `${told.error.slice(0, FEW)}…`.toWellFormed() : told.error;
  const details = `${text} [${told.code}]`;
  return {
    name: told.code,
    message: details,
    code: told === GONE ? status.CANCELLED : statusOf(told),
    details,
    metadata,
  };
}
