import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Browser } from 'puppeteer-core';
import { until } from './support/api-server.js';
import { cellsOf, chromium, openBrowser, violations, visit } from './support/browser.js';
import { inferJson, standalone } from './support/cli.js';
import type { Running } from './support/cli.js';
import { GROUP, TestCluster } from './support/cluster.js';
import type { Workspace } from './support/workspace.js';
import { echoNetwork, newWorkspace, tenantManifest } from './support/workspace.js';

/** The live pages, in a real browser, of a real agent under load and of a real operator. */

const path = chromium();
const looked = path === undefined ? describe.skip : describe;
const QUOTAS = fileURLToPath(new URL('../../examples/teams/quotas.yaml', import.meta.url));
const PHONE = { width: 375, height: 700 };

let browser: Browser;
beforeAll(async () => {
  if (path !== undefined) browser = await openBrowser(path);
});
afterAll(() => browser?.close());

/** Sends frames until it is stopped; a second tenant sends more than it was promised. */
function load(url: () => string): () => Promise<void> {
  const sent: Promise<unknown>[] = [];
  const send = (tenant: string): void => {
    const answered = inferJson(url(), tenant, {}).then((response) => response.arrayBuffer());
    sent.push(answered.catch(() => undefined));
  };
  const timers = [setInterval(() => send('gate'), 50), setInterval(() => send('yard'), 200)];
  return async () => {
    for (const timer of timers) clearInterval(timer);
    await Promise.all(sent);
  };
}

looked('the page of a node', () => {
  let workspace: Workspace;
  let running: Running;
  let stop: () => Promise<void>;

  beforeEach(async () => {
    workspace = await newWorkspace();
    const model = await workspace.model('echo', echoNetwork());
    const greedy = { framesPerSecond: 1, deadline: '900ms', beyondPromise: 'Refuse' };
    await workspace.write(
      'all.yaml',
      model,
      tenantManifest('gate', { framesPerSecond: 20 }),
      tenantManifest('yard', greedy),
    );
    running = await standalone(workspace);
    stop = load(() => running.url);
  });
  afterEach(async () => {
    await stop();
    await running.kill('SIGKILL');
    await workspace.dispose();
  });

  const counted = async (pattern: RegExp): Promise<number> =>
    Number(pattern.exec(await (await fetch(`${running.url}/metrics`)).text())?.[1] ?? 0);

  test('says what the metrics say, follows live, and shows nothing else to anybody', async () => {
    const { page, errors, elsewhere } = await visit(browser, `${running.url}/ui`);
    const rowOf = async (tenant: string): Promise<string[]> =>
      (await cellsOf(page, 'tenants')).find(([name]) => name === `default/${tenant}`)!;
    await until(async () => Number((await rowOf('gate'))[3]) > 15, 'the rate to be told');
    const [, category, promised, , inTime, , , deadline, missed] = await rowOf('gate');
    expect([category, promised, deadline]).toEqual(['echo@3x8x8', '20.0', expect.stringMatching(/^\d/)]);
    expect(inTime).toMatch(/ %$/);
    const [, misses, frames] = /^(\d+) of (\d+)$/.exec(missed!)!;
    const promisedByNow = await counted(/^deeprt_ingest_seconds_count (\d+)$/m);
    expect(Number(frames)).toBeLessThanOrEqual(promisedByNow);
    const framesTold = async (): Promise<number> => Number(/ of (\d+)$/.exec((await rowOf('gate'))[8]!)![1]);
    await until(async () => (await framesTold()) > promisedByNow - 60, 'the page to follow');
    expect(Number(misses)).toBeLessThanOrEqual(
      await counted(/^deeprt_deadline_misses_total\{[^}]*gate[^}]*\} (\d+)$/m),
    );

    const refusals = async (): Promise<string[] | undefined> =>
      (await cellsOf(page, 'refused')).find(([tenant]) => tenant === 'default/yard');
    await until(async () => Number((await refusals())?.[3]) > 0, 'refusals to be told of');
    expect((await refusals())![1]).toBe('RateExceeded');
    expect(await counted(/^deeprt_refused_frames_total\{[^}]*yard[^}]*RateExceeded[^}]*\} (\d+)$/m)).toBeGreaterThan(0);

    // The timeline: something is drawn, and told in words.
    const drawn = `(() => {
      const canvas = document.querySelector('canvas');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return data.filter((value, i) => i % 4 === 3 && value > 0).length;
    })()`;
    expect(await page.evaluate(drawn)).toBeGreaterThan(1000);
    const summary = await page.$eval('#device-0', ({ textContent }) => String(textContent));
    expect(Number(/^(\d+) runs of \d+ frames, \d+ of them promised; busy [\d.]+ %/.exec(summary)?.[1])).toBeGreaterThan(
      10,
    );
    expect([errors, elsewhere]).toEqual([[], []]);
    await page.close();
  });

  test.each(['light', 'dark'])('can be read by everybody in %s, also on a phone', async (value) => {
    const { page, errors } = await visit(browser, `${running.url}/ui`);
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value }]);
    await until(async () => (await cellsOf(page, 'refused'))[0]!.length > 1, 'all tables to be filled');
    expect(await violations(page)).toEqual([]);
    await page.setViewport(PHONE);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(PHONE.width);
    expect(await violations(page)).toEqual([]);
    // What is wider than the phone is reached by keyboard.
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.getAttribute("role")')).toBe('group');
    await page.keyboard.down('ArrowRight');
    await until(
      async () => Number(await page.evaluate('document.activeElement.scrollLeft')) > 0,
      'the table to scroll',
    );
    await page.keyboard.up('ArrowRight');
    expect(errors).toEqual([]);
    await page.close();
  });

  test('goes on after the agent was restarted', async () => {
    const { page } = await visit(browser, `${running.url}/ui`);
    const framesOf = async (): Promise<number> =>
      Number(
        /of (\d+)/.exec((await cellsOf(page, 'tenants')).find(([name]) => name === 'default/gate')?.[8] ?? '')?.[1] ??
          0,
      );
    await until(async () => (await framesOf()) > 60, 'frames to be counted');
    const { host } = new URL(running.url);
    await running.kill('SIGKILL');
    await page.waitForFunction(`document.getElementById('link').textContent.startsWith('Nothing heard')`, {
      timeout: 15_000,
    });
    running = await standalone(workspace, '--listen', host);
    await page.waitForFunction(`document.getElementById('link').textContent === 'Live'`, { timeout: 15_000 });
    const again = await framesOf();
    await until(async () => (await framesOf()) > again, 'frames to be counted again');
    await page.close();
  });

  test('is for those who may read the metrics, and for so many at once', async () => {
    const other = await standalone(
      workspace,
      '--senders',
      'enforce',
      '--state',
      `${workspace.state}-2`,
      '--admin',
      '127.0.0.1:0',
    );
    try {
      expect((await fetch(`${other.url}/ui`)).status).toBe(404);
      expect((await fetch(`${other.url}/ui/events`)).status).toBe(404);
      const { admin } = await other.logged(({ msg }) => msg === 'listening for health and metrics');
      const page = await fetch(`http://${String(admin)}/ui`);
      expect(page.status).toBe(200);
      expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
      const abort = new AbortController();
      const events = await Promise.all(
        Array.from({ length: 17 }, () => fetch(`http://${String(admin)}/ui/events`, { signal: abort.signal })),
      );
      expect(events.filter(({ status }) => status === 200)).toHaveLength(16);
      expect(events.filter(({ status }) => status === 503)).toHaveLength(1);
      abort.abort();
    } finally {
      await other.kill('SIGKILL');
    }
  });
});

looked('the page of the cluster', () => {
  test('shows devices, what they promised, and the latest decisions', async () => {
    const cluster = await TestCluster.start();
    try {
      const operator = await cluster.operator('--listen', '127.0.0.1:0');
      await cluster.model();
      await cluster.node('edge-1');
      await cluster.profile('edge-1');
      await cluster.tenant('first');
      await cluster.admitted('first');
      const { url } = await operator.logged(({ msg }) => msg === 'listening for health, metrics and the live page');
      const { page, errors, elsewhere } = await visit(browser, `${String(url)}/ui`);
      await until(
        async () => (await cellsOf(page, 'decisions')).some(([, tenant]) => tenant === 'default/first'),
        'the decision',
      );
      const [[node, device, state, promised, tenants]] = (await cellsOf(page, 'devices')) as [string[]];
      expect([node, device, state, tenants]).toEqual(['edge-1', '0', 'Ready', '1']);
      const schedule = await cluster.schedule('edge-1');
      expect(Number.parseFloat(promised!) / 100).toBeCloseTo(Number(schedule!.spec.promised), 1);
      expect(Number.parseFloat(promised!)).toBeGreaterThan(0);
      const [[, , admitted, reason]] = (await cellsOf(page, 'decisions')) as [string[]];
      expect([admitted, reason]).toEqual(['yes', 'Admitted']);
      await cluster.tenant('wild', { deadline: '1ms' });
      await until(async () => (await cellsOf(page, 'decisions'))[0]?.[1] === 'default/wild', 'the next decision');
      expect((await cellsOf(page, 'decisions'))[0]![2]).toBe('no');
      expect(await cellsOf(page, 'shares')).toEqual([['There is no TenantQuota: whoever comes first may have all.']]);
      await cluster.api.applyFile(QUOTAS);
      await cluster.api.must('PATCH', '/api/v1/namespaces/default', { metadata: { labels: { team: 'gates' } } });
      await until(async () => (await cellsOf(page, 'shares')).length === 2, 'both teams');
      const quota = async (): Promise<{ status?: { flavors?: { used: number }[]; pendingTenants?: number } }> =>
        cluster.api.must('GET', `${GROUP}/tenantquotas/gates`);
      await until(async () => ((await quota()).status?.flavors?.[0]?.used ?? 0) > 0, 'the quota to tell what is used');
      await until(async () => {
        const { flavors, pendingTenants } = (await quota()).status!;
        const told = ['gates', 'edge', flavors![0]!.used, 600, '', pendingTenants].map(String);
        return JSON.stringify((await cellsOf(page, 'shares'))[0]) === JSON.stringify(told);
      }, 'the page to say what the API says');
      expect((await quota()).status!.pendingTenants).toBe(1);
      expect(await violations(page)).toEqual([]);
      await page.setViewport(PHONE);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(PHONE.width);
      expect([errors, elsewhere]).toEqual([[], []]);
    } finally {
      await cluster.stop();
    }
  });
});
