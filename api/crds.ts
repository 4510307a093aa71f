import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

/** A structural schema as CustomResourceDefinitions hold it (OpenAPI v3 with Kubernetes' extensions). */
export interface CrdSchema {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, CrdSchema>>;
  readonly additionalProperties?: CrdSchema;
  readonly items?: CrdSchema;
  readonly required?: readonly string[];
  /** Of a list: the fields that tell its entries apart. */
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message: string }[];
}

export interface Crd {
  readonly kind: string;
  readonly namespaced: boolean;
  readonly schema: CrdSchema;
}

export const API_VERSION = 'deeprt.dev/v1alpha1';

interface CrdFile {
  spec: {
    scope: string;
    names: { kind: string };
    versions: { name: string; schema: { openAPIV3Schema: CrdSchema } }[];
  };
}

/** Reads the CustomResourceDefinitions in crds/, the single source of the API's shape. */
function readCrd(plural: string): Crd {
  // The same two steps up from api/ in the sources' dist/ and in an installed package.
  const file = new URL(`../../crds/${plural}.deeprt.dev.yaml`, import.meta.url);
  const { spec } = parse(readFileSync(file, 'utf8')) as CrdFile;
  return {
    kind: spec.names.kind,
    namespaced: spec.scope === 'Namespaced',
    schema: spec.versions[0]!.schema.openAPIV3Schema,
  };
}

export const crds: readonly Crd[] = [
  ...['inferencetenants', 'inferencemodels', 'gpuprofiles', 'nodeschedules'],
  ...['tenantquotas', 'deviceflavors', 'tenantshares'],
].map(readCrd);
