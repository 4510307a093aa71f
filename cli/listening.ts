import type { AddressInfo } from 'node:net';
import type { Command } from 'commander';
import { Option } from 'commander';
import type { IngestOptions, IngestServer } from '../agent/ingest/server.js';
import { addressText } from '../agent/ingest/server.js';
import { tracerFrom } from '../agent/ingest/tracing.js';
import { BadCredentials, FileCredentials } from '../kube/tls.js';
import { isLoopback } from '../agent/ingest/who/claim.js';
import type { GuardOptions, Mode } from '../agent/ingest/who/guard.js';
import type { IssuerKeys } from '../agent/ingest/who/tokens.js';
import { Tokens } from '../agent/ingest/who/tokens.js';
import type { Cluster } from '../kube/cluster.js';
import type { Logger } from '../kube/log.js';
import { Readers } from '../kube/readers.js';
import { BadInput } from './directory.js';
import type { Address } from './options.js';
import { durationOption, listenArgument, listenOption } from './options.js';

/** What the options about where and from whom frames are taken say. */
export interface ListenFlags {
  readonly listen: Address;
  readonly grpc?: Address;
  readonly admin?: Address;
  readonly tlsDir?: string;
  readonly clientCa?: string;
  readonly senders?: 'audit' | 'enforce';
  readonly allowAnyone?: boolean;
  /** In microseconds. */
  readonly tokenGrace: number;
  readonly hostName?: readonly string[];
}

export const withListenOptions = (command: Command): Command =>
  command
    .addOption(listenOption('--listen <address>', 'address and port to serve frames on', '127.0.0.1:8080'))
    .addOption(
      new Option(
        '--grpc <address>',
        'address and port to serve the same over gRPC, such as 127.0.0.1:8001; not served when absent',
      ).argParser(listenArgument),
    )
    .addOption(
      new Option(
        '--admin <address>',
        'address and port of their own for health, metrics, late frames and the live page; with the frames when absent, where anybody may send',
      ).argParser(listenArgument),
    )
    .option('--tls-dir <dir>', 'serve HTTPS with tls.crt and tls.key of this folder, followed when they are renewed')
    .option('--client-ca <file>', 'authorities whose client certificates say who sends; needs --tls-dir')
    .addOption(
      new Option(
        '--senders <mode>',
        'whether who may not send (spec.senders) is refused, or only counted; refused wherever more than loopback is listened on, when not given',
      ).choices(['audit', 'enforce']),
    )
    .option('--allow-anyone', 'take frames from whoever can reach the port, as any tenant')
    .addOption(
      durationOption(
        '--token-grace <time>',
        'how long after it has expired a token that was seen valid goes on while the API server is away',
        '1h',
      ),
    )
    .option('--host-name <names...>', 'names that clients call this machine by, besides those of local networks');

/** Who may send: everybody where only this machine's own processes can. */
export function modeOf({ listen, grpc, senders, allowAnyone }: ListenFlags): Mode {
  if (allowAnyone === true) return 'Anyone';
  if (senders !== undefined) return senders === 'audit' ? 'Audit' : 'Enforce';
  return [listen, grpc].every((at) => at === undefined || isOwn(at)) ? 'Anyone' : 'Enforce';
}

/** The option by which the API server says who reads. */
export const reviewReadersOption = (): Option =>
  new Option(
    '--review-readers',
    'metrics, late frames and the live page are for who shows a token that may get their paths: the API server is asked (TokenReview, SubjectAccessReview)',
  );

/**
 * Who may read what this process tells of itself; undefined: whoever reaches the port.
 *
 * @throws BadInput where tokens would travel in the clear
 */
export function readersOf(
  { reviewReaders = false, tlsDir }: { readonly reviewReaders?: boolean; readonly tlsDir?: string },
  at: Address,
  cluster: Cluster,
): Readers | undefined {
  if (!reviewReaders) return undefined;
  if (tlsDir === undefined && !isOwn(at))
    throw new BadInput('--review-readers needs --tls-dir: tokens are shown over HTTPS, or to this machine alone');
  return new Readers(cluster);
}

const isOwn = ({ host }: Address): boolean => host === 'localhost' || isLoopback(host);

/**
 * How frames are taken.
 *
 * @param keys to check tokens with; none without a cluster
 * @throws BadInput when there is nothing to serve HTTPS with
 */
export async function ingestOptions(
  flags: ListenFlags,
  keys: IssuerKeys | undefined,
  log: Logger,
): Promise<IngestOptions & { readonly senders: GuardOptions }> {
  const { tlsDir, clientCa, allowAnyone, senders, hostName, tokenGrace } = flags;
  if (allowAnyone === true && senders !== undefined)
    throw new BadInput('--allow-anyone and --senders say different things; give one of them');
  if (clientCa !== undefined && tlsDir === undefined)
    throw new BadInput('--client-ca needs --tls-dir: certificates are shown over HTTPS only');
  const mode = modeOf(flags);
  if (allowAnyone === true)
    log.warn({ ...flags.listen }, 'anybody who reaches this port may send frames as any tenant');
  const tokens = keys === undefined ? undefined : new Tokens(keys, tokenGrace / 1e6);
  return {
    senders: { mode, tokens, log },
    hostNames: hostName,
    credentials: await credentialsFrom(tlsDir, clientCa, log),
    tracer: await tracerFrom(process.env).catch((error: unknown) => {
      throw new BadInput((error as Error).message);
    }),
  };
}

/** @throws BadInput when they cannot be served with */
export async function credentialsFrom(
  dir: string | undefined,
  clientCa: string | undefined,
  log: Logger,
): Promise<FileCredentials | undefined> {
  if (dir === undefined) return undefined;
  try {
    return await FileCredentials.read(dir, clientCa, (message) =>
      log.warn({ error: message }, 'certificate not usable; going on with the last one'),
    );
  } catch (error) {
    throw error instanceof BadCredentials ? new BadInput(`--tls-dir, --client-ca: ${error.message}`) : error;
  }
}

/** Listens wherever that is asked for. @returns the URL and the address that frames are taken at */
export async function listen(
  server: IngestServer,
  { listen: frames, grpc, admin }: Pick<ListenFlags, 'listen' | 'grpc' | 'admin'>,
  log: Logger,
): Promise<{ readonly url: string; readonly address: AddressInfo }> {
  const at = async (
    address: Address | undefined,
    what: 'grpc' | 'admin',
    open: (at: Address) => Promise<number>,
  ): Promise<void> => {
    if (address === undefined) return;
    const port = await open(address);
    log.info(
      { [what]: addressText({ host: address.host, port }) },
      `listening for ${what === 'grpc' ? 'gRPC' : 'health and metrics'}`,
    );
  };
  await at(admin, 'admin', ({ host, port }) => server.listenAdmin(host, port));
  const listening = await server.listen(frames.host, frames.port);
  await at(grpc, 'grpc', ({ host, port }) => server.listenGrpc(host, port));
  return listening;
}
