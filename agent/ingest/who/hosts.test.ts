import type { IncomingMessage } from 'node:http';
import { expect, test } from '@jest/globals';
import { Hosts } from './hosts.js';

const hosts = new Hosts(['cams.example.com', '*.edge.example.com']);
const outcome = (headers: object, method = 'POST'): string => {
  try {
    hosts.check({ method, headers } as IncomingMessage);
    return 'passes';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

test.each([
  ['127.0.0.1:8080', 'passes'],
  ['[::1]:8080', 'passes'],
  ['localhost', 'passes'],
  ['gate.default.svc', 'passes'],
  ['gate.default.svc.cluster.local:80', 'passes'],
  ['edge-1', 'passes'],
  ['edge-1.local', 'passes'],
  ['CAMS.example.com.', 'passes'],
  ['a.edge.example.com', 'passes'],
  ['a.b.edge.example.com', 'UnknownHost'],
  ['evil.example', 'UnknownHost'],
  ['svc.evil.example', 'UnknownHost'],
  ['127.0.0.1.evil.example', 'UnknownHost'],
])('a request to %s: %s', (host, expected) => {
  expect(outcome({ host })).toBe(expected);
});

test('a web page sends nothing, wherever it comes from', () => {
  expect(outcome({ host: 'localhost', origin: 'http://localhost' })).toBe('WebOrigin');
  expect(outcome({ host: 'localhost', origin: 'null' })).toBe('WebOrigin');
  expect(outcome({})).toBe('passes');
});

test('a page that is served here may get what it is made of, and no other page', () => {
  const host = 'localhost:8080';
  expect(outcome({ host, origin: 'http://localhost:8080' }, 'GET')).toBe('passes');
  expect(outcome({ host, origin: 'http://localhost:8081' }, 'GET')).toBe('WebOrigin');
  expect(outcome({ host: 'evil.example', origin: 'http://evil.example' }, 'GET')).toBe('UnknownHost');
});
