import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { PeerCertificate, TLSSocket } from 'node:tls';

/** What the head of a request shows of its sender. */
export interface Claim {
  /** Where it comes from. */
  readonly address: string;
  /** `Authorization`. */
  readonly authorization: string | undefined;
  /** Whether nobody in between can read it. */
  readonly secure: boolean;
  /** Names in a client certificate that a trusted authority has signed. */
  readonly certificate: readonly string[] | undefined;
}

/** A connection's certificate is looked at once. */
const certificates = new WeakMap<object, { readonly names: readonly string[] | undefined }>();

export function claimOf(req: IncomingMessage): Claim {
  const { socket } = req;
  const address = socket.remoteAddress ?? '';
  let known = certificates.get(socket);
  if (known === undefined) {
    known = { names: isTls(socket) ? namesIn(socket) : undefined };
    certificates.set(socket, known);
  }
  return {
    address,
    authorization: req.headers.authorization,
    secure: isTls(socket) || isLoopback(address),
    certificate: known.names,
  };
}

const isTls = (socket: object): socket is TLSSocket => 'encrypted' in socket;

function namesIn(socket: TLSSocket): readonly string[] | undefined {
  if (!socket.authorized) return undefined;
  // A session that is resumed counts as authorized also where it never had a certificate.
  const { subject, subjectaltname = '' } = socket.getPeerCertificate() as Partial<PeerCertificate>;
  if (subject === undefined) return undefined;
  const common = subject.CN;
  return [...(common === undefined ? [] : [common].flat()), ...alternativeNames(subjectaltname)];
}

/**
 * The names in a certificate's alternative ones, as Node writes these: those with commas or quotes are JSON strings without a comma
 * (CVE-2021-44532). Entries of other kinds may hold whatever their owner chose.
 */
export const alternativeNames = (subjectaltname: string): string[] =>
  subjectaltname.split(', ').flatMap((entry) => {
    const [, name] = /^(?:DNS|URI|email):(.*)$/s.exec(entry) ?? [];
    return name === undefined ? [] : [name.startsWith('"') ? (JSON.parse(name) as string) : name];
  });

/** Addresses that only this machine's own processes come from (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3). */
export function isLoopback(address: string): boolean {
  const plain = address.replace(/^::ffff:/i, '');
  return plain === '::1' || (isIP(plain) === 4 && plain.startsWith('127.'));
}
