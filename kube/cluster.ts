import { isDeepStrictEqual } from 'node:util';
import type { RequestContext } from '@kubernetes/client-node';
import { ApiException, KubeConfig } from '@kubernetes/client-node';
import type { Dispatcher, buildConnector } from 'undici';

import { Agent } from 'undici';

type BuildOptions = buildConnector.BuildOptions;
type DispatcherOptions = ReturnType<KubeConfig['createDispatcherOptions']>;

/** A request that has no answer after this long has failed. */
export const REQUEST_TIMEOUT_MS = 8000;

/**
 * The connection to an API server. client-node 2.0.1 makes a new dispatcher, so a new TLS connection, for every request,
 * and sets no time-out on any; here all requests share one pool with time-outs.
 */
export class Cluster extends KubeConfig {
  #options: DispatcherOptions | undefined;
  #pool: { options: DispatcherOptions; dispatcher: Dispatcher } | undefined;

  /**
   * @param kubeconfig file to read; without one: the pod's service account, $KUBECONFIG, or ~/.kube/config
   * @throws when there is no usable configuration
   */
  static load(kubeconfig?: string): Cluster {
    const cluster = new Cluster();
    if (kubeconfig === undefined) cluster.loadFromDefault();
    else cluster.loadFromFile(kubeconfig);
    if (cluster.getCurrentCluster() === null)
      throw new Error(`${kubeconfig ?? 'the kubeconfig'} names no current cluster; set its current-context`);
    return cluster;
  }

  /** The namespace of the current context. */
  get namespace(): string | undefined {
    return this.getContextObject(this.getCurrentContext())?.namespace;
  }

  override createDispatcherOptions(
    ...args: Parameters<KubeConfig['createDispatcherOptions']>
  ): ReturnType<KubeConfig['createDispatcherOptions']> {
    const options = super.createDispatcherOptions(...args);
    if (options.type === 'proxy' || options.type === 'socks') return options;
    this.#options = options;
    return { type: 'none' };
  }

  override async applySecurityAuthentication(context: RequestContext): Promise<void> {
    await super.applySecurityAuthentication(context);
    const options = this.#options;
    if (options === undefined) return;
    // Certificates that were renewed on disk make another pool.
    if (this.#pool === undefined || !isDeepStrictEqual(this.#pool.options, options)) {
      void this.#pool?.dispatcher.close();
      this.#pool = {
        options,
        dispatcher: new Agent({
          connect: { ...('connect' in options ? options.connect : {}), timeout: REQUEST_TIMEOUT_MS } as BuildOptions,
          headersTimeout: REQUEST_TIMEOUT_MS,
          // Between two parts of a body; a watch is silent longer, and has a timer of its own.
          bodyTimeout: 60_000,
          connections: 64,
        }),
      };
    }
    context.setDispatcher(this.#pool.dispatcher);
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    await this.#pool?.dispatcher.destroy();
  }
}

/** The HTTP status of a failed request; undefined when there was no answer at all. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof ApiException ? error.code : undefined;
}

/** What went wrong, in the API server's own words where it said any. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof ApiException)) {
    const { message, cause } = error as Error;
    return cause instanceof Error ? `${message}: ${cause.message}` : message;
  }
  const body: unknown = error.body;
  try {
    const { message } = (typeof body === 'string' ? JSON.parse(body) : body) as { message?: unknown };
    if (typeof message === 'string') return message;
  } catch {
    // Not JSON: the code alone then.
  }
  return `HTTP ${error.code}`;
}
