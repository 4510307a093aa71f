import { expect, test } from '@jest/globals';
import { alternativeNames } from './claim.js';

test.each([
  [
    'DNS:cam-1, URI:spiffe://example.com/cam-2, email:a@example.com',
    ['cam-1', 'spiffe://example.com/cam-2', 'a@example.com'],
  ],
  ['DNS:"a\\u002c DNS:b", IP Address:192.0.2.1', ['a, DNS:b']],
  // What may be chosen freely in these is no name of its owner's.
  ['othername:UPN:DNS:cam-1', []],
  ['DirName:CN=DNS:cam-1, URI:http://x/y', ['http://x/y']],
  ['', []],
])('the alternative names in %s', (text, names) => {
  expect(alternativeNames(text)).toEqual(names);
});
