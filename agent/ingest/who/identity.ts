import { timingSafeEqual } from 'node:crypto';
import type { Senders } from '../../../api/senders.js';

/** Who sends, as far as that was proven. */
export type Identity =
  | { readonly kind: 'serviceAccount'; readonly namespace: string; readonly name: string }
  /** The subject's common name and the alternative names of a client certificate. */
  | { readonly kind: 'certificate'; readonly names: readonly string[] }
  /** The digest of a key; whose it is only a tenant's terms tell. */
  | { readonly kind: 'key'; readonly sha256: Buffer };

/** Whether a tenant's terms let this sender send its frames. Where they say nothing, its namespace's service accounts may. */
export function maySend(identity: Identity, namespace: string, senders: Senders | undefined): boolean {
  switch (identity.kind) {
    case 'serviceAccount': {
      const allowed = senders === undefined ? [{ namespace }] : (senders.serviceAccounts ?? []);
      return allowed.some((each: { namespace: string; name?: string }) => isOne(each, identity));
    }
    case 'certificate':
      return (senders?.certificates ?? []).some((name) => identity.names.includes(name));
    case 'key': {
      // All are compared, so that the time tells nothing.
      const matches = (senders?.keys ?? []).filter(({ sha256 }) =>
        timingSafeEqual(Buffer.from(sha256, 'hex'), identity.sha256),
      );
      return matches.length > 0;
    }
  }
}

const isOne = (
  allowed: { readonly namespace: string; readonly name?: string },
  { namespace, name }: { readonly namespace: string; readonly name: string },
): boolean => allowed.namespace === namespace && (allowed.name ?? name) === name;

/** A sender in logs; nothing that is secret. */
export function identityText(identity: Identity): string {
  switch (identity.kind) {
    case 'serviceAccount':
      return `service account ${identity.namespace}/${identity.name}`;
    case 'certificate':
      return `certificate of ${identity.names.join(', ').slice(0, 256)}`;
    case 'key':
      return `a key with digest ${identity.sha256.toString('hex').slice(0, 8)}…`;
  }
}
