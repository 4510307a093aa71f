/** How things are called: each name is put together here and nowhere else. */

interface Named {
  readonly namespace: string;
  readonly name: string;
}

/** `<namespace>/<name>`: a tenant in messages, logs and maps. */
export const tenantKey = ({ namespace, name }: Named): string => `${namespace}/${name}`;

/** The same taken apart. */
export function tenantOfKey(key: string): Named {
  const [namespace, name] = key.split('/', 2) as [string, string];
  return { namespace, name };
}

export const namespaceOf = (key: string): string => tenantOfKey(key).namespace;

/** `<namespace>.<name>`: a tenant in the path of a URL. */
export const tenantPath = ({ namespace, name }: Named): string => `${namespace}.${name}`;

/** For instance `3x224x224`. */
export const shapeText = (shape: readonly number[]): string => shape.join('x');

export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((dim, i) => dim === b[i]);

/** For instance `text-detector@3x320x320`: frames of one model and one input shape can share a batch. */
export const categoryName = (model: string, shape: readonly number[]): string => `${model}@${shapeText(shape)}`;

export type Layout = 'NCHW' | 'NHWC';

/** Annotation of a GPUProfile: somebody asks its agent to measure the device again. The agent takes it off when it has. */
export const MEASURE_AGAIN = 'deeprt.dev/measure-again';

/** What a namespace may be called (RFC 1123, a label). */
export const NAMESPACE_NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
