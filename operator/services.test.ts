import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { TenantObject } from './objects.js';
import { serviceName, serviceOf, slicesOf } from './services.js';

test('a Service has a valid DNS label of a name, another for every tenant', () => {
  const names = fc.stringMatching(/^[a-z0-9]([-a-z0-9.]{0,120}[a-z0-9])?$/);
  fc.assert(
    fc.property(names, names, (a, b) => {
      expect(serviceName(a)).toMatch(/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/);
      if (a !== b) expect(serviceName(a)).not.toBe(serviceName(b));
    }),
  );
  expect(serviceName('gate')).toBe('deeprt-gate');
});

const tenant = { metadata: { name: 'gate', namespace: 'default', uid: 'u' } } as TenantObject;

test('a tenant on several nodes has one slice per port and family of addresses', () => {
  const at = (node: string, endpoint?: string, ready = false): object => ({
    node,
    device: 0,
    streams: 1,
    category: 'c',
    ready,
    ...(endpoint === undefined ? {} : { endpoint }),
  });
  const placements = [
    at('a', '10.0.0.1:8080'),
    at('b', '10.0.0.2:8080', true),
    at('c', '[2001:db8::1]:8080'),
    at('d', '10.0.0.4:9090'),
    at('e'),
    at('f', '127.0.0.1:8080'),
  ] as never;
  const slices = slicesOf(tenant, { placements }, { scheme: 'http', grpcPort: undefined });
  expect(
    slices.map(({ metadata, addressType, endpoints, ports }) => [
      metadata.name,
      addressType,
      ports[0]!.port,
      endpoints.map(({ nodeName, addresses, conditions }) => `${nodeName} ${addresses[0]} ${conditions.ready}`),
    ]),
  ).toEqual([
    ['deeprt-gate-ipv4-8080', 'IPv4', 8080, ['a 10.0.0.1 false', 'b 10.0.0.2 true']],
    ['deeprt-gate-ipv6-8080', 'IPv6', 8080, ['c 2001:db8::1 false']],
    ['deeprt-gate-ipv4-9090', 'IPv4', 9090, ['d 10.0.0.4 false']],
  ]);
});

test.each([
  ['http', 80, 'kubernetes.io/h2c'],
  ['https', 443, 'https'],
] as const)('Services and slices have the port of gRPC where agents serve it (%s)', (scheme, port, appProtocol) => {
  const spoken = { scheme, grpcPort: 8001 };
  expect(serviceOf(tenant, spoken).spec.ports).toMatchObject([
    { name: scheme, port },
    { name: 'grpc', port: 8001, targetPort: 8001, appProtocol },
  ]);
  const placements = [{ node: 'a', category: 'c', streams: 1, endpoint: '10.0.0.1:8080', ready: true }];
  const [slice] = slicesOf(tenant, { placements } as Parameters<typeof slicesOf>[1], spoken);
  expect(slice!.ports.map((each) => each.port)).toEqual([8080, 8001]);
});
