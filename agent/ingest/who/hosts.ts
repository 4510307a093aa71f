import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { BadRequest } from '../protocol/bad-request.js';

/** Ends of names that nobody can register on the Internet (RFC 6761, 6762, 8375; ICANN's .internal; Kubernetes' Services, also under cluster.local). */
const OWN = /(^|\.)(localhost|local|internal|home\.arpa|test|svc)$/;

/**
 * Keeps web pages out: a browser sends frames for whatever page it shows, to any address that it can reach. Requests with an
 * `Origin` are a page's; those of the pages that are served here may get what they are made of. A `Host` that others may own
 * has been made to lead here (DNS rebinding).
 */
export class Hosts {
  readonly #names: ReadonlySet<string>;

  /** @param names that this agent has, besides addresses and those that only local networks know */
  constructor(names: readonly string[]) {
    this.#names = new Set([hostname(), ...names].map((name) => name.toLowerCase()));
  }

  /** @throws BadRequest (400, 403, 421) */
  check({ method, headers, httpVersion }: IncomingMessage): void {
    const ownPage = method === 'GET' && isOrigin(headers.origin, headers.host);
    if (headers.origin !== undefined && !ownPage)
      throw new BadRequest('requests of web pages (Origin) are not taken', 403, 'WebOrigin');
    if (headers.host === undefined && httpVersion === '1.1') throw new BadRequest('Host: required (RFC 9110, 7.2)');
    const host = headers.host === undefined ? undefined : nameIn(headers.host);
    if (host === undefined || this.#knows(host)) return;
    const message = `this agent is not known as ${JSON.stringify(host.slice(0, 253))} (Host); start it with --host-name for that name`;
    throw new BadRequest(message, 421, 'UnknownHost');
  }

  #knows(host: string): boolean {
    if (isIP(host) !== 0 || !host.includes('.') || OWN.test(host) || this.#names.has(host)) return true;
    return this.#names.has(`*.${host.slice(host.indexOf('.') + 1)}`);
  }
}

/** Whether a page comes from where it asks: it is then one that is served here (RFC 6454). */
const isOrigin = (origin: string | undefined, host: string | undefined): boolean =>
  origin === `http://${host}` || origin === `https://${host}`;

/** Without the port. */
const nameIn = (host: string): string =>
  host
    .toLowerCase()
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
