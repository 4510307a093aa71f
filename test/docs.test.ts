import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

/** Where conditions are made; the reasons of admission are a table, from which the document is made. */
const SOURCES = [
  ...['tenant-status', 'model-status', 'publish/network', 'addresses'].map((name) => `operator/${name}.ts`),
  ...[
    'node/report',
    'node/follower',
    'profile/profile-node',
    'profile/correction',
    'profile/soft',
    'profile/keeper',
  ].map((name) => `agent/${name}.ts`),
];
const REASON = '([A-Z][a-z]+[A-Za-z]*)';
const PATTERNS = [
  `reason: '${REASON}'`,
  `\\?\\?? '${REASON}'`,
  `\\? '${REASON}'`,
  `: '${REASON}',`,
  `told\\('\\w+', '${REASON}'`,
  `\\['\\w+', '${REASON}',`,
  `withStale\\(profile, '\\w+', '${REASON}'`,
];
/** What the patterns find besides. */
const NO_REASONS = new Set(['True', 'False', 'Unknown', 'Profiled', 'Available', 'Stale', 'Node', 'Spread', 'Firm']);

test('troubleshooting.md explains every reason that a condition can have', () => {
  const reasons = new Set<string>();
  for (const source of SOURCES)
    for (const pattern of PATTERNS)
      for (const [, reason] of read(source).matchAll(new RegExp(pattern, 'g')))
        if (!NO_REASONS.has(reason!)) reasons.add(reason!);
  expect(reasons.size).toBeGreaterThan(25);
  const explained = new Set([...read('docs/troubleshooting.md').matchAll(/`([A-Z]\w+)`/g)].map(([, name]) => name!));
  expect([...reasons].filter((reason) => !explained.has(reason))).toEqual([]);
});

test('links between documents lead somewhere', () => {
  const files = ['README.md', ...readdirSync(join(ROOT, 'docs')).map((file) => `docs/${file}`)];
  const anchorsOf = (text: string): string[] =>
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
      title!
        .toLowerCase()
        .replace(/[^\w\s-]/g, '')
        .replaceAll(' ', '-'),
    );
  const broken: string[] = [];
  for (const file of files.filter((name) => name.endsWith('.md')))
    for (const [, target] of read(file).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target!)) continue;
      const [path = '', anchor] = target!.split('#');
      const full = path === '' ? file : join(dirname(file), path);
      if (!existsSync(join(ROOT, full)) || (anchor !== undefined && !anchorsOf(read(full)).includes(anchor)))
        broken.push(`${file}: ${target!}`);
    }
  expect(broken).toEqual([]);
});
