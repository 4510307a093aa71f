import { beforeAll, expect, test } from '@jest/globals';
import type { JSONWebKeySet } from 'jose';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { wallSeconds } from '../../../kube/clock.js';
import type { IssuerKeys, BadToken } from './tokens.js';
import { AUDIENCE, Tokens } from './tokens.js';

const ISSUER = 'https://cluster.example';
let keys: JSONWebKeySet;
let sign: (expiresInS: number, more?: { algorithm?: string }) => Promise<string>;

beforeAll(async () => {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  keys = { keys: [{ ...(await exportJWK(publicKey)), kid: 'now', alg: 'ES256' }] };
  sign = (expiresInS) =>
    new SignJWT({ nonce: Math.random() })
      .setProtectedHeader({ alg: 'ES256', kid: 'now' })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setSubject('system:serviceaccount:edge:camera')
      .setExpirationTime(Math.floor(wallSeconds() + expiresInS))
      .sign(privateKey);
});

const known = (cutOff: boolean): IssuerKeys & { cutOff: boolean; asked: number } => ({
  current: { issuer: ISSUER, keys },
  cutOff,
  asked: 0,
  missed() {
    this.asked++;
  },
});
const outcome = (tokens: Tokens, token: string): Promise<string> =>
  tokens.identify(token).then(
    ({ kind }) => kind,
    (error: unknown) => (error as BadToken).message,
  );
const until = (s: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, 1000 * (s - wallSeconds()) + 50));

test('a token says who it is', async () => {
  const tokens = new Tokens(known(false), 0);
  expect(await tokens.identify(await sign(60))).toEqual({ kind: 'serviceAccount', namespace: 'edge', name: 'camera' });
});

test('an expired one goes on for the grace, from whoever was seen valid, while nobody can be asked for another', async () => {
  const keys = known(true);
  const tokens = new Tokens(keys, 3600);
  const [seen, unseen] = [await sign(1), await sign(-20)];
  expect(await outcome(tokens, seen)).toBe('serviceAccount');
  await until(Math.ceil(wallSeconds()) + 1);
  expect(await outcome(tokens, seen)).toBe('serviceAccount');
  expect(await outcome(tokens, unseen)).toBe('the token has expired');
  expect(await outcome(new Tokens(keys, 0), unseen)).toBe('the token has expired');
});

test('a key that was not published yet is asked for', async () => {
  const own = known(false);
  const token = await sign(60);
  const [, ...rest] = token.split('.');
  const head = Buffer.from(JSON.stringify({ alg: 'ES256', kid: 'next' })).toString('base64url');
  expect(await outcome(new Tokens(own, 0), [head, ...rest].join('.'))).toMatch(/has not published/);
  expect(own.asked).toBe(1);
});

test.each([
  ['no token', 'a.b.c', 'the token cannot be read'],
  ['an unsigned one', `${Buffer.from('{"alg":"none"}').toString('base64url')}.e30.`, 'the token cannot be read'],
])('%s is none', async (_what, token, message) => {
  expect(await outcome(new Tokens(known(false), 0), token)).toBe(message);
});

test('without keys nobody is let in', async () => {
  const none = { current: undefined, cutOff: true, missed: () => undefined };
  expect(await outcome(new Tokens(none, 3600), await sign(60))).toMatch(/no keys/);
});
