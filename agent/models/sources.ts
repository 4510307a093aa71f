import { realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** @throws Forbidden when models may not come from this URL */
export type Allowed = (url: string) => void;

/** Models may not come from there. */
export class Forbidden extends Error {}

/**
 * Whence models may come.
 *
 * @param prefixes of URLs, each with its scheme; anywhere where absent
 */
export function allowedFrom(prefixes: readonly string[] | undefined): Allowed {
  if (prefixes === undefined) return () => undefined;
  const known = prefixes.map((prefix) => (URL.canParse(prefix) ? new URL(prefix).href : prefix));
  return (url) => {
    const asked = new URL(url);
    asked.username = asked.password = '';
    if (!known.some((prefix) => covers(prefix, asked.href)))
      throw new Forbidden(
        `models may not come from ${asked.protocol === 'file:' ? 'there' : asked.origin}; --models-from says from where they may: ${prefixes.join(', ')}`,
      );
  };
}

/** Whole parts of a path only: models.example.com is no prefix of models.example.com.evil. */
const covers = (prefix: string, url: string): boolean =>
  url === prefix || url.startsWith(prefix.endsWith('/') || prefix.endsWith(':') ? prefix : `${prefix}/`);

/**
 * Where a `file:` source leads to, links followed.
 *
 * @throws Forbidden when models may not come from there, which is all that is told of such a place
 */
export async function localFile(source: string, baseDir: string, allowed: Allowed): Promise<string> {
  const named = source.startsWith('file://')
    ? fileURLToPath(source)
    : resolve(baseDir, decodeURI(source.slice('file:'.length)));
  allowed(pathToFileURL(named).href);
  const found = await realpath(named).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR')
      throw new Error(`there is no file ${named} (spec.source)`, { cause: error });
    throw error;
  });
  allowed(pathToFileURL(found).href);
  return found;
}
