import { stat } from 'node:fs/promises';
import type { ResourceOf } from '../../api/manifests.js';
import { digest } from './digest.js';
import { allowedFrom, localFile } from './sources.js';

type Model = ResourceOf<'InferenceModel'>;

/** Watches whether the files that models were copied from still are what their manifests say: who changes one may expect it to be served. */
export class SourceWatch {
  readonly #from: readonly string[] | undefined;
  /** By model, what its file was when it was looked at, and what is to be told of it. */
  readonly #seen = new Map<string, { readonly stamp: string; readonly note: string | undefined }>();

  /** @param from prefixes of URLs that models may come from; anywhere where absent */
  constructor(from: readonly string[] | undefined) {
    this.#from = from;
  }

  /** What is to be told of a model's file; undefined when it is what it should be, or not looked at yet. */
  note(name: string): string | undefined {
    return this.#seen.get(name)?.note;
  }

  forget(name: string): void {
    this.#seen.delete(name);
  }

  /**
   * Looks at a file once more.
   *
   * @param copy of it, which is served
   * @returns whether there is anything else to be told of it than before
   */
  async look({ metadata: { name }, spec: { source, sha256 } }: Model, baseDir: string, copy: string): Promise<boolean> {
    if (!source.startsWith('file:')) return false;
    const before = this.#seen.get(name);
    const now = await this.#lookAt(source, sha256, baseDir, copy, before).catch(() => undefined);
    // One that has gone is not missed: its copy is served.
    if (now === undefined) return false;
    this.#seen.set(name, now);
    return before?.note !== now.note;
  }

  async #lookAt(
    source: string,
    sha256: string,
    baseDir: string,
    copy: string,
    before: { readonly stamp: string; readonly note: string | undefined } | undefined,
  ): Promise<{ readonly stamp: string; readonly note: string | undefined }> {
    const path = await localFile(source, baseDir, allowedFrom(this.#from));
    const { mtimeMs, size, ino } = await stat(path);
    const stamp = [path, sha256, mtimeMs, size, ino].join();
    if (before?.stamp === stamp) return before;
    // One that is older than its copy needs no reading.
    const found = before === undefined && mtimeMs < (await stat(copy)).mtimeMs ? sha256 : await digest(path);
    const note =
      found === sha256
        ? undefined
        : `${path} has changed: it has sha256 ${found} now, and what spec.sha256 says goes on being served; set spec.sha256 to it to have it served`;
    return { stamp, note };
  }
}
