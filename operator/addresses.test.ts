import { describe, expect, test } from '@jest/globals';
import { checkedEndpoint } from './addresses.js';

const own = ['192.0.2.7', '2001:db8::7', 'edge-1'];
const taken = (told: string): boolean => checkedEndpoint(told, own).endpoint === told;

describe('where an agent says that it is reached', () => {
  test('is taken if it is an address of its own', () => {
    for (const told of ['192.0.2.7:8080', '[2001:db8::7]:1', '[2001:DB8:0::0:7]:8080'])
      expect([told, taken(told)]).toEqual([told, true]);
    expect(checkedEndpoint(undefined, own)).toEqual({ endpoint: undefined });
  });

  test('is refused, with the reason, if it is anybody else’s, a name, or nowhere', () => {
    for (const [told, why] of [
      ['192.0.2.8:8080', /neither an address of the Node nor/],
      ['169.254.169.254:80', /neither/],
      ['[2001:db8::8]:80', /neither/],
      ['edge-1:8080', /no IP address/],
      ['metadata.google.internal:80', /no IP address/],
      ['192.0.2.7', /no IP address/],
      ['192.0.2.7:0', /no IP address/],
      ['192.0.2.7:70000', /no IP address/],
      ['127.0.0.1:8080', /from its own node only/],
      ['[::1]:8080', /from its own node only/],
    ] as const) {
      const { endpoint, endpointRefused } = checkedEndpoint(told, own);
      expect([told, endpoint]).toEqual([told, undefined]);
      expect(endpointRefused).toMatch(why);
    }
  });
});
