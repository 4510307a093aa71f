import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { namedPaths } from '../hack/ways.js';

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
  `condition\\('\\w+', '${REASON}'`,
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

const DOCUMENTS = ['.', 'docs', 'docs/adr'].flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter((file) => file.endsWith('.md'))
    .map((file) => join(folder, file)),
);

/** A document's prose: without code, tables, headings and what is made from the code. */
const prose = (file: string): string[] =>
  read(file)
    .replace(/^```[^]*?^```$/gm, '')
    .split('\n')
    .filter((line) => !/^\s*(\||#|<!--|!\[)/.test(line));

test('documents have one sentence a line', () => {
  const abbreviated = /\b(?:e\.g|i\.e|vs|cf|al|approx)\.$/;
  const crowded = DOCUMENTS.filter((file) => file !== 'docs/api.md').flatMap((file) =>
    prose(file)
      .map((line) =>
        line
          .replace(/^\s*(?:[-*]|\d+\.) +/, '')
          .replace(/`[^`]*`/g, 'code')
          .replace(/\([^()]*\)/g, ''),
      )
      .filter((line) => !/^\*\*[^*]+\.\*\* [^.]+\.?$/.test(line))
      .filter((line) =>
        [...line.matchAll(/[.!?]["'*_)\]]* +(?=[A-Z])/g)].some(
          ({ index }) => !abbreviated.test(line.slice(0, index + 1)) && !/\b[A-Z]\.$/.test(line.slice(0, index + 1)),
        ),
      )
      .map((line) => `${file}: ${line}`),
  );
  expect(crowded).toEqual([]);
});

test('documents name files that exist', () => {
  const named = new RegExp(
    `^(?:${['agent', 'api', 'bench', 'charts', 'cli', 'crds', 'examples', 'hack', 'kube', 'operator', 'sched', 'test'].join('|')})/[\\w./-]*$`,
  );
  const missing = DOCUMENTS.flatMap((file) =>
    [...read(file).matchAll(/`([^`\s]+)`/g)]
      .map(([, path]) => path!)
      .filter((path) => named.test(path) && !existsSync(join(ROOT, path)))
      .map((path) => `${file}: ${path}`),
  );
  expect(missing).toEqual([]);
  expect(namedPaths().filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});

test('links between documents lead somewhere', () => {
  const anchorsOf = (text: string): string[] =>
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
      title!
        .toLowerCase()
        .replace(/[^\w\s-]/g, '')
        .replaceAll(' ', '-'),
    );
  const broken: string[] = [];
  for (const file of DOCUMENTS)
    for (const [, target] of read(file)
      .replace(/`[^`\n]*`/g, 'code')
      .matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target!)) continue;
      const [path = '', anchor] = target!.split('#');
      const full = path === '' ? file : join(dirname(file), path);
      if (!existsSync(join(ROOT, full)) || (anchor !== undefined && !anchorsOf(read(full)).includes(anchor)))
        broken.push(`${file}: ${target!}`);
    }
  expect(broken).toEqual([]);
});
