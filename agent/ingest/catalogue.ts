import { VERSION } from '../../api/version.js';
import type { Told } from '../../ui/live-page.js';
import type { LateFrame } from '../serving/late-frames.js';
import type { AgentMetrics } from '../serving/metrics.js';
import type { ServedTenant, TenantTerms } from '../serving/tenant.js';
import type { FrameStages } from './frame.js';
import type { Serving } from './passage.js';
import { BadRequest } from './protocol/bad-request.js';
import { configurationOf, metadataOf, statisticsOf } from './protocol/describe.js';

/** A node's devices, as those see them who send frames. */
export interface ServedNode extends FrameStages {
  readonly metrics: AgentMetrics;
  readonly ready: boolean;
  readonly inFlight: number;
  /** Where the tenant's frames may go; on several devices when its streams are split. */
  serving(path: string): readonly Serving[];
  /** All that are served, as in paths. */
  names(): readonly string[];
  /** The promised frames that were late last, the newest first; of one tenant, where one is named. */
  late(tenant?: string): readonly LateFrame[];
  /** What the live page tells of it. */
  readonly live: readonly Told[];
}

/** The version that every model has here. */
export const VERSION_OF_MODELS = '1';

/** Of the protocol, as Triton names them. */
const EXTENSIONS = [
  'binary_tensor_data',
  'classification',
  'sequence',
  'model_configuration',
  'parameters',
  'statistics',
];

/** Whether somebody may know of a model. */
export type May = (name: string) => boolean;

const anything: May = () => true;

/** What the protocol tells of the server and its models, whatever it is told by. */
export class Catalogue {
  readonly #node: ServedNode;

  constructor(node: ServedNode) {
    this.#node = node;
  }

  readonly server = { name: 'deeprt', version: VERSION, extensions: EXTENSIONS };

  /** Where a tenant's frames go. @throws BadRequest (404) */
  serving(name: string, version = ''): readonly Serving[] {
    if (version !== '' && version !== VERSION_OF_MODELS)
      throw new BadRequest(
        `"${name}" has no version ${version.slice(0, 32)}; the one that is served is ${VERSION_OF_MODELS}`,
        404,
        'UnknownVersion',
      );
    const servings = this.#node.serving(name);
    if (servings.length > 0) return servings;
    throw new BadRequest(
      `no tenant "${name.slice(0, 512)}" is served here; the path is /v2/models/<namespace>.<tenant>/infer and the tenant must be admitted`,
      404,
      'UnknownTenant',
    );
  }

  /** What a tenant is served with; undefined: there is none of that name. */
  terms(name: string): TenantTerms | undefined {
    return this.#node.serving(name)[0]?.tenant.terms;
  }

  ready(name: string, version = ''): boolean {
    return (version === '' || version === VERSION_OF_MODELS) && this.#isReady(name);
  }

  #isReady(name: string): boolean {
    return this.#node.serving(name).some(({ service }) => service.ready);
  }

  metadata(name: string, version?: string): object {
    return metadataOf(name, this.#tenants(name, version)[0]!);
  }

  configuration(name: string, version?: string): object {
    return configurationOf(name, this.#tenants(name, version)[0]!);
  }

  /**
   * @param name of one model; all when empty
   * @param may of which of them anything is told
   */
  statistics(name = '', version?: string, may: May = anything): object {
    const names = name === '' ? this.#node.names().filter(may) : [name];
    return { model_stats: names.map((each) => statisticsOf(each, this.#tenants(each, version))) };
  }

  index(may: May = anything): { name: string; version: string; state: string; reason: string }[] {
    return this.#node
      .names()
      .filter(may)
      .map((name) => ({
        name,
        version: VERSION_OF_MODELS,
        state: this.#isReady(name) ? 'READY' : 'UNAVAILABLE',
        reason: '',
      }));
  }

  #tenants(name: string, version?: string): ServedTenant[] {
    return this.serving(name, version).map(({ tenant }) => tenant);
  }
}
