import type { Meta } from '../../kube/objects.js';

/** A status as it was written, and what the object was then. */
export interface Written<S> {
  readonly status: S;
  readonly version: string | undefined;
}

/** The status that an object has: as it was written last, unless somebody else has written since. The local copy may lag behind. */
export function newest<S>(
  { metadata, status }: { metadata: Meta; status?: S | undefined },
  written: Written<S>,
): S | undefined {
  const [seen, own] = [Number(metadata.resourceVersion), Number(written.version)];
  return seen > own ? status : written.status;
}
