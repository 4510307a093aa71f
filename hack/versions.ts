import { readFileSync } from 'node:fs';
import { VERSION } from '../api/version.js';

/** Files that name the version that package.json has, and how. */
const NAMED: Readonly<Record<string, readonly RegExp[]>> = {
  'charts/deeprt/Chart.yaml': [/(?<=^(?:version|appVersion): )[\d.]+/gm],
  Dockerfile: [/(?<=\bdeeprt:)\d+\.\d+\.\d+/g, /(?<=image\.version=")[\d.]+/g],
  'README.md': [/(?<=\bdeeprt:)\d+\.\d+\.\d+/g],
  'docs/kubectl-deeprt.md': [/(?<=deeprt-kubectl-)\d+\.\d+\.\d+/g],
  'docs/install.md': [/(?<=\bdeeprt:)\d+\.\d+\.\d+/g],
};

/** Those files with the version of today. */
export function versionedFiles(): [file: string, text: string][] {
  return Object.entries(NAMED).map(([file, patterns]) => {
    const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
    return [file, patterns.reduce((all, pattern) => all.replace(pattern, VERSION), text)];
  });
}
