import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ResourceOf } from '../../api/manifests.js';
import type { Logger } from '../../kube/log.js';
import { completeFrom } from './complete.js';
import { StillComing, modelFile } from './model-file.js';
import type { ModelFile } from './residents.js';
import { SourceWatch } from './source-watch.js';

type Model = ResourceOf<'InferenceModel'>;

/** A model that could not be had is tried again after this long, then ever more rarely: what was missing may have come. */
const FIRST_RETRY_MS = 30_000;
const LONGEST_RETRY_MS = 600_000;
/** The files that models were copied from are looked at as often. */
const LOOK_AT_SOURCES_MS = 30_000;
/** One that is on its way is looked for again after this long. */
const LOOK_AGAIN_MS = 500;

export interface LibraryOptions {
  readonly stateDir: string;
  readonly log: Logger;
  /** Prefixes of URLs that models may come from; anywhere where absent. */
  readonly modelsFrom?: readonly string[];
  /** How long a model that has to be fetched is waited for; otherwise the others go on without it. */
  readonly graceMs?: number;
}

interface Entry {
  /** The catalogue's newest word on it. */
  version: string;
  /** What is served, or can be. */
  file: ModelFile | undefined;
  /** Whether it can be loaded and measured, as far as is known. */
  usable: boolean;
  /** A newer version that is not served yet. */
  next: ModelFile | undefined;
  failure: { readonly message: string; readonly retryAtMs: number } | undefined;
  backoffMs: number;
}

/** A device's models, as far as their files go. A newer version of one takes its place when it is said to, not before. */
export class Library {
  readonly #options: LibraryOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #sources: SourceWatch;
  #lookedAtMs = 0;

  constructor(options: LibraryOptions) {
    this.#options = options;
    this.#sources = new SourceWatch(options.modelsFrom);
  }

  /** The files of the versions that are served, or can be. */
  get files(): ModelFile[] {
    return [...this.#entries.values()].flatMap(({ file }) => file ?? []);
  }

  get names(): string[] {
    return [...this.#entries.keys()];
  }

  file(name: string): ModelFile | undefined {
    return this.#entries.get(name)?.file;
  }

  /** Newer versions of models that are served. */
  get newer(): ModelFile[] {
    return [...this.#entries.values()].flatMap(({ next }) => next ?? []);
  }

  /** Why a model cannot be served; undefined when it can. */
  objection(name: string): string | undefined {
    const entry = this.#entries.get(name);
    return entry?.usable === true ? undefined : entry?.failure?.message;
  }

  /** Why the newest version of a model that is served is not the one that is; undefined when it is, or is to be. */
  heldBack(name: string): string | undefined {
    const entry = this.#entries.get(name);
    return entry?.usable === true ? entry.failure?.message : undefined;
  }

  /** What is to be told of the file that a model was copied from; undefined when it is what it should be. */
  sourceNote(name: string): string | undefined {
    return this.#sources.note(name);
  }

  /** How long until something that could not be had is to be tried again, or files are to be looked at; undefined when there is nothing. */
  get retryInMs(): number | undefined {
    if (this.#entries.size === 0) return undefined;
    const due = [...this.#entries.values()].flatMap(({ failure }) => failure?.retryAtMs ?? []);
    return Math.max(0, Math.min(...due, this.#lookedAtMs + LOOK_AT_SOURCES_MS) - performance.now());
  }

  /**
   * Fetches models that are new or changed, and those that are to be tried again.
   *
   * @param mayRetry whether a model that failed may be tried again although nothing about it has changed
   * @returns whether anything about any of them has changed
   */
  async fetch(
    models: readonly Model[],
    baseDirOf: (model: Model) => string,
    mayRetry: (name: string) => boolean,
  ): Promise<boolean> {
    const changes = await Promise.all(models.map((model) => this.#fetchOne(model, baseDirOf(model), mayRetry)));
    const looks = await this.#lookAtSources(models, baseDirOf);
    return changes.includes(true) || looks;
  }

  forget(name: string): void {
    this.#entries.delete(name);
    this.#sources.forget(name);
  }

  /** The newer version is the one that is served from now on. */
  promote(name: string): void {
    const entry = this.#entries.get(name);
    if (entry?.next === undefined) return;
    Object.assign(entry, { file: entry.next, usable: true, next: undefined, failure: undefined });
  }

  /** Notes that a model cannot be served. */
  fail(name: string, message: string): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined) entry.usable = false;
    this.hold(name, message);
  }

  /** Notes that a model's newest version cannot be had or served; what is served goes on. */
  hold(name: string, message: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    entry.next = undefined;
    entry.failure = { message, retryAtMs: performance.now() + entry.backoffMs };
    entry.backoffMs = Math.min(2 * entry.backoffMs, LONGEST_RETRY_MS);
  }

  /** Whether there is anything new to be told of the files that models were copied from. */
  async #lookAtSources(models: readonly Model[], baseDirOf: (model: Model) => string): Promise<boolean> {
    if (performance.now() < this.#lookedAtMs + LOOK_AT_SOURCES_MS) return false;
    this.#lookedAtMs = performance.now();
    let news = false;
    for (const model of models) {
      const copy = this.file(model.metadata.name)?.path;
      if (copy === undefined || !(await this.#sources.look(model, baseDirOf(model), copy))) continue;
      news = true;
      const note = this.sourceNote(model.metadata.name);
      if (note !== undefined) this.#options.log.warn({ model: model.metadata.name }, note);
    }
    return news;
  }

  async #fetchOne(model: Model, baseDir: string, mayRetry: (name: string) => boolean): Promise<boolean> {
    const { stateDir, modelsFrom, graceMs, log } = this.#options;
    const { name } = model.metadata;
    const version = JSON.stringify(model.spec);
    const known = this.#entries.get(name);
    const isNew = known?.version !== version;
    const due = known?.failure !== undefined && known.failure.retryAtMs <= performance.now() && mayRetry(name);
    if (!isNew && !due) return false;
    const entry = known ?? {
      version,
      file: undefined,
      usable: false,
      next: undefined,
      failure: undefined,
      backoffMs: FIRST_RETRY_MS,
    };
    if (isNew) Object.assign(entry, { version, next: undefined, failure: undefined, backoffMs: FIRST_RETRY_MS });
    this.#entries.set(name, entry);
    try {
      const path = await modelFile(model, baseDir, stateDir, modelsFrom, graceMs);
      const file = { model: completeFrom(model, path), path, fileBytes: await folderBytes(dirname(path)) };
      if (entry.usable) entry.next = file;
      else Object.assign(entry, { file, usable: true });
      entry.failure = undefined;
      log.info({ model: name, path }, 'model available');
    } catch (error) {
      const { message } = error as Error;
      if (error instanceof StillComing) {
        if (isNew) log.info({ model: name }, message);
        entry.failure = { message, retryAtMs: performance.now() + LOOK_AGAIN_MS };
      } else {
        this.hold(name, message);
        log.error({ model: name, error: message }, 'model not available');
      }
    }
    return true;
  }
}

async function folderBytes(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true });
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
