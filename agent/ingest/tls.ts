import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A server's certificate chain and private key, PEM. */
export interface Credentials {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** A certificate that cannot be served with; the message says which file and why. */
export class BadCredentials extends Error {}

/**
 * Reads tls.crt and tls.key, as a Secret of type kubernetes.io/tls has them.
 *
 * @throws BadCredentials when one is missing, unreadable, or the key is not the certificate's
 */
async function readCredentials(dir: string): Promise<Credentials> {
  const read = async (name: string): Promise<Buffer> => {
    try {
      return await readFile(join(dir, name));
    } catch (error) {
      throw new BadCredentials(`${join(dir, name)}: ${(error as Error).message}`);
    }
  };
  const cert = await read('tls.crt');
  const key = await read('tls.key');
  const parsed = parse(join(dir, 'tls.crt'), 'PEM certificate', () => new X509Certificate(cert));
  const privateKey = parse(join(dir, 'tls.key'), 'PEM private key', () => createPrivateKey(key));
  if (!parsed.checkPrivateKey(privateKey))
    throw new BadCredentials(`${join(dir, 'tls.key')} is not the key of ${join(dir, 'tls.crt')}`);
  return { cert, key };
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
  readonly #failed: (message: string) => void;
  #timer: NodeJS.Timeout | undefined;
  current: Credentials;

  private constructor(dir: string, current: Credentials, failed: (message: string) => void) {
    this.#dir = dir;
    this.current = current;
    this.#failed = failed;
  }

  /**
   * @param failed told once of each reason why the folder's present content cannot be used; the last good one is
   * @throws BadCredentials when there is nothing good to begin with
   */
  static async read(dir: string, failed: (message: string) => void): Promise<FileCredentials> {
    return new FileCredentials(dir, await readCredentials(dir), failed);
  }

  /** Calls back whenever there are others, until `stop`. */
  follow(changed: (credentials: Credentials) => void, periodMs = FOLLOW_PERIOD_MS): void {
    let lastProblem = '';
    this.#timer = setInterval(() => {
      readCredentials(this.#dir)
        .then((read) => {
          lastProblem = '';
          if (read.cert.equals(this.current.cert) && read.key.equals(this.current.key)) return;
          this.current = read;
          changed(read);
        })
        .catch((error: unknown) => {
          const { message } = error as Error;
          if (message !== lastProblem) this.#failed(message);
          lastProblem = message;
        });
    }, periodMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
