import { isDeepStrictEqual } from 'node:util';
import type { ApiConstructor, ApiType } from '@kubernetes/client-node';
import {
  ApiException,
  HttpMethod,
  KubeConfig,
  RequestContext,
  ResponseContext,
  ServerConfiguration,
  createConfiguration,
  wrapHttpLibrary,
} from '@kubernetes/client-node';
import type { Dispatcher, buildConnector } from 'undici';

import { Agent, request } from 'undici';

type BuildOptions = buildConnector.BuildOptions;
type DispatcherOptions = ReturnType<KubeConfig['createDispatcherOptions']>;

/** A request that has no answer after this long has failed. */
export const REQUEST_TIMEOUT_MS = 8000;

/**
 * The connection to an API server. client-node 2.0.1 makes a new dispatcher, so a new TLS connection, for every request,
 * and sets no time-out on any; here all requests share one pool with time-outs.
 */
export class Cluster extends KubeConfig {
  #writer = 'deeprt';
  #options: DispatcherOptions | undefined;
  #pool: { options: DispatcherOptions; dispatcher: Dispatcher } | undefined;

  /**
   * @param kubeconfig file to read; without one: the pod's service account, $KUBECONFIG, or ~/.kube/config
   * @param writer what the API server records as the manager of the fields that are written
   * @throws when there is no usable configuration
   */
  static load(kubeconfig?: string, writer = 'deeprt'): Cluster {
    const cluster = new Cluster();
    cluster.#writer = writer;
    if (kubeconfig === undefined) cluster.loadFromDefault();
    else cluster.loadFromFile(kubeconfig);
    // What client-node makes up where it finds nothing.
    if (kubeconfig === undefined && cluster.getCurrentCluster()?.server === 'http://localhost:8080')
      throw new Error(
        'there is no kubeconfig: no --kubeconfig, no $KUBECONFIG, no ~/.kube/config, and this is no pod with a service account',
      );
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
          // Over HTTP/2 all watches and writes would share one connection, and its fate.
          allowH2: false,
          headersTimeout: REQUEST_TIMEOUT_MS,
          // Between two parts of a body; a watch is silent longer, and has a timer of its own.
          bodyTimeout: 60_000,
          connections: 64,
        }),
      };
    }
    context.setDispatcher(this.#pool.dispatcher);
  }

  /** As client-node's own, but sent by undici's `request`, which costs half of its `fetch`. */
  override makeApiClient<T extends ApiType>(apiClientType: ApiConstructor<T>): T {
    const { server } = this.getCurrentCluster()!;
    return new apiClientType(
      createConfiguration({
        baseServer: new ServerConfiguration(server, {}),
        authMethods: { default: this },
        httpApi: wrapHttpLibrary({ send: (context) => send(context, this.#writer) }),
        middleware: [],
      }),
    );
  }

  /** What is at a path of the API server that is no object. @throws ApiException when it is not there, or may not be read */
  async read(path: string): Promise<string> {
    const context = new RequestContext(`${this.getCurrentCluster()!.server}${path}`, HttpMethod.GET);
    await this.applySecurityAuthentication(context);
    const { httpStatusCode, headers, body } = await send(context, this.#writer);
    const text = await body.text();
    if (httpStatusCode !== 200) throw new ApiException(httpStatusCode, `cannot read ${path}`, text, headers);
    return text;
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    await this.#pool?.dispatcher.destroy();
  }
}

async function send(context: RequestContext, userAgent: string): Promise<ResponseContext> {
  const dispatcher = context.getDispatcher();
  const { statusCode, headers, body } = await request(context.getUrl(), {
    method: context.getHttpMethod() as Dispatcher.HttpMethod,
    headers: { ...context.getHeaders(), 'user-agent': userAgent },
    body: (context.getBody() as string | undefined) ?? null,
    ...(dispatcher === undefined ? {} : { dispatcher: dispatcher }),
  });
  const text = await body.text();
  return new ResponseContext(statusCode, headers as Record<string, string>, {
    text: () => Promise.resolve(text),
    binary: () => Promise.resolve(Buffer.from(text)),
    stream: () => null,
  });
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
