import type { JSONSchema } from 'json-schema-to-typescript';
import { compile } from 'json-schema-to-typescript';
import { crds } from '../api/crds.js';

/** The TypeScript types of the kinds: file name and text. */
export async function generatedTypes(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const { kind, schema } of crds)
    files.set(
      `${kind}.ts`,
      await compile(schema as JSONSchema, kind, {
        additionalProperties: false,
        bannerComment: '// Generated from crds/ by `make generate`; do not edit.',
        ignoreMinAndMaxItems: true,
        style: { printWidth: 120, singleQuote: true },
      }),
    );
  return files;
}
