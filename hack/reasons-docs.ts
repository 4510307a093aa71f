import { readFileSync } from 'node:fs';
import { ADMITTED_REASONS, REASONS } from '../operator/admission/reasons.js';

const FILE = new URL('../../docs/troubleshooting.md', import.meta.url);
const PLACE = /(<!-- from operator\/admission\/reasons.ts, by make generate -->\n)[^]*?(<!-- end -->)/;

type Row = keyof typeof REASONS;

const table = (reasons: readonly Row[]): string =>
  [
    '| reason | what it means | what to do |',
    '| --- | --- | --- |',
    ...reasons.map((reason) => `| \`${reason}\` | ${REASONS[reason].meaning} | ${REASONS[reason].remedy} |`),
  ].join('\n');

/** docs/troubleshooting.md with what the table of reasons says. */
export function reasonsDocs(): string {
  const all = Object.keys(REASONS) as Row[];
  const ofNodes = all.filter((reason) => !(ADMITTED_REASONS as readonly Row[]).includes(reason));
  const text = `\n${table(ADMITTED_REASONS)}\n\nNodes have reasons of their own (\`status.refusals\`):\n\n${table(ofNodes)}\n\n`;
  return readFileSync(FILE, 'utf8').replace(PLACE, (_, start: string, end: string) => `${start}${text}${end}`);
}
