import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { AgentMetrics } from '../../serving/metrics.js';
import type { Claim } from './claim.js';
import { isLoopback } from './claim.js';
import type { Mode, Denied } from './guard.js';
import { Guard } from './guard.js';

const KEY = 'c2l4dHktZm91ci1jaGFyYWN0ZXJzLW9mLXNlY3JldA';
const senders = { keys: [{ sha256: createHash('sha256').update(KEY).digest('hex') }] };
const terms = { namespace: 'default', name: 'gate', senders };
const claim = (more: Partial<Claim> = {}): Claim => ({
  address: '192.0.2.9',
  authorization: `Bearer ${KEY}`,
  secure: true,
  certificate: undefined,
  ...more,
});

let metrics: AgentMetrics;
let logged: string[];
beforeEach(() => {
  metrics = new AgentMetrics();
  logged = [];
});
const guard = (mode: Mode): Guard => {
  const log = { warn: (_: object, message: string) => void logged.push(message) };
  return new Guard({ mode, log: log as never }, metrics);
};
async function outcome(mode: Mode, shown: Claim, of: typeof terms | undefined = terms): Promise<string> {
  const own = guard(mode);
  try {
    own.check(await own.visitor(shown), 'default.gate', of);
    return 'passes';
  } catch (error) {
    return (error as Denied).code;
  }
}
const counted = async (): Promise<object[]> =>
  (await metrics.senderRefusals.get()).values.map(({ labels, value }) => ({ ...labels, value }));

describe('a secret', () => {
  test('that came where others can read it is refused unread, the right one too, and said so', async () => {
    expect(await outcome('Enforce', claim({ secure: false }))).toBe('SecretInClear');
    expect(logged.join()).not.toContain(KEY);
  });

  test.each([
    ['Bearer', 'passes'],
    ['bearer', 'passes'],
    ['Digest', 'Unauthenticated'],
  ])('by the scheme %s: %s', async (scheme, expected) => {
    expect(await outcome('Enforce', claim({ authorization: `${scheme} ${KEY}` }))).toBe(expected);
  });

  test('that is a token is not taken where nobody can check it', async () => {
    expect(await outcome('Enforce', claim({ authorization: 'Bearer a.b.c' }))).toBe('InvalidToken');
  });
});

describe('a sender who may not', () => {
  test('is counted and passes where it is only counted, each kind logged once', async () => {
    const own = guard('Audit');
    for (let i = 0; i < 3; i++) own.check(await own.visitor(claim({ authorization: undefined })), 'x', terms);
    expect(logged).toEqual([expect.stringContaining('sender would be refused')]);
    expect(await counted()).toEqual([{ code: 'Unauthenticated', enforced: 'false', value: 3 }]);
  });

  test('hears the same of tenants that are there and of those that are not', async () => {
    const own = guard('Enforce');
    const visitor = await own.visitor(claim({ authorization: 'Bearer another' }));
    const messages = [terms, undefined].map((of) => {
      try {
        own.check(visitor, 'default.gate', of);
        return '';
      } catch (error) {
        return (error as Denied).message;
      }
    });
    expect(messages[0]).toMatch(/may not send to "default\.gate"/);
    expect(messages[1]).toBe(messages[0]);
  });

  test('nobody is where anybody may', async () => {
    expect(await outcome('Anyone', claim({ authorization: undefined }), undefined)).toBe('passes');
  });
});

test('addresses of this machine alone', () => {
  expect(['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1'].every(isLoopback)).toBe(true);
  expect(['10.0.0.1', '::ffff:10.0.0.1', '128.0.0.1', '127.evil.example', ''].some(isLoopback)).toBe(false);
});
