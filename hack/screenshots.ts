/**
 * `make screenshots`: docs/live-*.png, the live pages as they are: of a node that serves the examples to their cameras, and of a
 * cluster's operator.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'puppeteer-core';
import { chromium, openBrowser, visit } from '../test/support/browser.js';
import { background, start } from '../test/support/cli.js';
import { TestCluster } from '../test/support/cluster.js';
import { EXAMPLES, FRAMES } from './example-manifests.js';

const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url));
const PLAYED_MS = 15_000;
const PROFILING_MS = 300_000;
const WIDTH = 1000;

async function picture(browser: Browser, url: string, name: string, scheme: 'light' | 'dark'): Promise<void> {
  const { page } = await visit(browser, url);
  await page.setViewport({ width: WIDTH, height: 700 });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  await setTimeout(PLAYED_MS);
  await page.screenshot({ path: `${join(DOCS, name)}.png`, fullPage: true });
  await page.close();
}

async function pictureOfNode(browser: Browser): Promise<void> {
  const state = await mkdtemp(join(tmpdir(), 'deeprt-screenshots-'));
  const node = background('standalone', '-f', EXAMPLES, '--state', state, '--listen', '127.0.0.1:0');
  try {
    const url = String((await node.logged(({ msg }) => msg === 'listening', 0, PROFILING_MS))['url']);
    const cameras = start(['load', '-f', EXAMPLES, '--target', url, '--frames', FRAMES, '--duration', '30s']).child;
    await picture(browser, `${url}/ui`, 'live-node', 'light');
    cameras.kill('SIGTERM');
  } finally {
    await node.kill('SIGKILL');
    await rm(state, { recursive: true });
  }
}

async function pictureOfCluster(browser: Browser): Promise<void> {
  const cluster = await TestCluster.start();
  try {
    const operator = await cluster.operator('--listen', '127.0.0.1:0');
    const { url } = await operator.logged(({ msg }) => msg === 'listening for health, metrics and the live page');
    await cluster.model();
    await cluster.api.applyFile(join(EXAMPLES, 'teams/quotas.yaml'));
    await cluster.api.must('PATCH', '/api/v1/namespaces/default', { metadata: { labels: { team: 'gates' } } });
    for (const node of ['edge-1', 'edge-2']) {
      await cluster.node(node);
      await cluster.profile(node);
    }
    for (const name of ['gate', 'yard', 'dock'])
      await cluster.tenant(name, { streams: 4, framesPerSecond: 30, deadline: '100ms' });
    await cluster.tenant('wild', { deadline: '1ms' });
    await cluster.condition('wild', 'Admitted', 'False');
    for (const node of ['edge-1', 'edge-2'])
      if ((await cluster.schedule(node)) !== undefined) await cluster.report(node);
    await picture(browser, `${String(url)}/ui`, 'live-cluster', 'dark');
  } finally {
    await cluster.stop();
  }
}

const path = chromium();
if (path === undefined) throw new Error('there is no browser to look with');
const browser = await openBrowser(path);
try {
  await pictureOfNode(browser);
  await pictureOfCluster(browser);
} finally {
  await browser.close();
}
