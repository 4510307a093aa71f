import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { RequestListener, Server, ServerOptions } from 'node:http';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { join } from 'node:path';
import type { SecureContextOptions, TlsOptions } from 'node:tls';
import { createSecureContext } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';

/** A server's certificate chain and private key, and the authorities whose client certificates it believes, PEM. */
export interface Credentials {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer;
}

/** What a server is set up with. Clients are asked for a certificate where there is an authority for them; who has none may prove who it is otherwise. */
export const secureOptions = (credentials: Credentials): SecureContextOptions & TlsOptions => ({
  minVersion: 'TLSv1.2',
  ...credentials,
  ...(credentials.ca === undefined ? {} : { requestCert: true, rejectUnauthorized: false }),
});

/** A certificate that cannot be served with; the message says which file and why. */
export class BadCredentials extends Error {}

/**
 * Reads tls.crt and tls.key, as a Secret of type kubernetes.io/tls has them.
 *
 * @throws BadCredentials when one is missing, unreadable, or the key is not the certificate's
 */
async function readCredentials(dir: string, clientCa: string | undefined): Promise<Credentials> {
  const read = async (path: string): Promise<Buffer> => {
    try {
      return await readFile(path);
    } catch (error) {
      throw new BadCredentials(`${path}: ${(error as Error).message}`);
    }
  };
  const cert = await read(join(dir, 'tls.crt'));
  const key = await read(join(dir, 'tls.key'));
  const ca = clientCa === undefined ? undefined : await read(clientCa);
  if (ca !== undefined) parse(clientCa!, 'PEM certificate', () => new X509Certificate(ca));
  const parsed = parse(join(dir, 'tls.crt'), 'PEM certificate', () => new X509Certificate(cert));
  const privateKey = parse(join(dir, 'tls.key'), 'PEM private key', () => createPrivateKey(key));
  if (!parsed.checkPrivateKey(privateKey))
    throw new BadCredentials(`${join(dir, 'tls.key')} is not the key of ${join(dir, 'tls.crt')}`);
  const credentials = { cert, key, ...(ca === undefined ? {} : { ca }) };
  try {
    createSecureContext(secureOptions(credentials));
  } catch (error) {
    const files = [join(dir, 'tls.crt'), ...(clientCa === undefined ? [] : [clientCa])].join(', ');
    throw new BadCredentials(`${files}: OpenSSL does not take it: ${(error as Error).message}`);
  }
  return credentials;
}

function parse<T>(file: string, what: string, of: () => T): T {
  try {
    return of();
  } catch {
    throw new BadCredentials(`${file}: no ${what}`); // what OpenSSL says may quote the key
  }
}

const FOLLOW_PERIOD_MS = 10_000;

/** Credentials in a folder, followed: certificates are renewed while agents run. */
export class FileCredentials {
  readonly #dir: string;
  readonly #clientCa: string | undefined;
  readonly #failed: (message: string) => void;
  readonly #timers: NodeJS.Timeout[] = [];
  current: Credentials;

  private constructor(
    dir: string,
    clientCa: string | undefined,
    current: Credentials,
    failed: (message: string) => void,
  ) {
    this.#dir = dir;
    this.#clientCa = clientCa;
    this.current = current;
    this.#failed = failed;
  }

  /**
   * @param clientCa file with the authorities whose client certificates are believed; none where absent
   * @param failed told once of each reason why the folder's present content cannot be used; the last good one is
   * @throws BadCredentials when there is nothing good to begin with
   */
  static async read(
    dir: string,
    clientCa: string | undefined,
    failed: (message: string) => void,
  ): Promise<FileCredentials> {
    return new FileCredentials(dir, clientCa, await readCredentials(dir, clientCa), failed);
  }

  /** The names that the certificate is for. */
  get names(): string[] {
    const { subjectAltName = '' } = new X509Certificate(this.current.cert);
    return [...subjectAltName.matchAll(/DNS:([^,]+)/g)].map(([, name]) => name!);
  }

  /** Calls back whenever there are others, until `stop`. */
  follow(changed: (credentials: Credentials) => void, periodMs = FOLLOW_PERIOD_MS): void {
    let lastProblem = '';
    let last = this.current;
    const timer = setInterval(() => {
      readCredentials(this.#dir, this.#clientCa)
        .then((read) => {
          lastProblem = '';
          if (isDeepStrictEqual(read, last)) return;
          this.current = last = read;
          changed(read);
        })
        .catch((error: unknown) => {
          const { message } = error as Error;
          if (message !== lastProblem) this.#failed(message);
          lastProblem = message;
        });
    }, periodMs);
    this.#timers.push(timer.unref());
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }
}

/** A server of HTTPS, whose certificate is renewed with its files, or of HTTP where there are none. */
export function webServer(
  options: ServerOptions,
  credentials: FileCredentials | undefined,
  app: RequestListener,
): Server {
  if (credentials === undefined) return createServer(options, app);
  const server = createSecureServer({ ...options, ...secureOptions(credentials.current) }, app);
  credentials.follow((renewed) => server.setSecureContext(secureOptions(renewed)));
  return server;
}
