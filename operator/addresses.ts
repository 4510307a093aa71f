import { isIP } from 'node:net';

/** Where an agent says that it is reached. */
export interface Endpoint {
  /** As it was told, if it may be believed. */
  readonly endpoint: string | undefined;
  /** Why it is not. */
  readonly endpointRefused?: string;
}

/**
 * Whether an agent's word about where it is reached is taken. What it says becomes an EndpointSlice among the tenants' objects, so it
 * must be an address of its own node or of an agent's pod there: never a name, never anybody else's (compare CVE-2021-25740).
 *
 * @param own addresses of the Node, and of the agents' pods on it
 */
export function checkedEndpoint(claimed: string | undefined, own: readonly string[]): Endpoint {
  if (claimed === undefined) return { endpoint: undefined };
  const { address, port } = partsOf(claimed) ?? {};
  const refused = (why: string): Endpoint => ({ endpoint: undefined, endpointRefused: `${claimed} ${why}` });
  if (address === undefined || port === undefined || isIP(address) === 0 || port < 1 || port > 65_535)
    return refused('is no IP address with a port; start the agent with --advertise ADDRESS:PORT');
  if (isLoopback(address))
    return refused('is reached from its own node only; start the agent with --advertise and an address of the node');
  const canonical = canon(address);
  if (own.some((each) => isIP(each) !== 0 && canon(each) === canonical)) return { endpoint: claimed };
  return refused('is neither an address of the Node nor of an agent’s pod there (kubectl get node -o wide)');
}

/** An endpoint's address and port; IPv6 addresses are in brackets. */
export function partsOf(endpoint: string): { readonly address: string; readonly port: number } | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})$/.exec(endpoint);
  return match === null ? undefined : { address: match[1] ?? match[2]!, port: Number(match[3]) };
}

/** An EndpointSlice takes no loopback addresses. */
export const isLoopback = (address: string): boolean =>
  isIP(address) === 6 ? ['[::1]', '[::]'].includes(canon(address)) : /^(127\.|0\.)/.test(address);

/** One spelling for each address (RFC 5952). */
const canon = (address: string): string =>
  isIP(address) === 6 ? new URL(`http://[${address.split('%')[0]}]`).hostname : address;
