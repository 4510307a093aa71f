import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'puppeteer-core';
import { launch } from 'puppeteer-core';

const script = fileURLToPath(new URL('../../../hack/chromium.sh', import.meta.url));

/** The browser to look at pages with; undefined where there is none. */
export function chromium(): string | undefined {
  try {
    return execFileSync(script, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
  } catch {
    return undefined;
  }
}

/** Root has no sandbox to put its pages in; they are ours. */
export const openBrowser = (executablePath: string): Promise<Browser> =>
  launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });

/** A page, what went wrong on it, and what it asked for elsewhere. */
export interface Visit {
  readonly page: Page;
  readonly errors: readonly string[];
  readonly elsewhere: readonly string[];
}

export async function visit(browser: Browser, url: string): Promise<Visit> {
  const page = await browser.newPage();
  const [errors, elsewhere]: [string[], string[]] = [[], []];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warn') errors.push(message.text());
  });
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('request', (request) => {
    if (!request.url().startsWith(new URL(url).origin) && !request.url().startsWith('data:'))
      elsewhere.push(request.url());
  });
  await page.goto(url, { waitUntil: 'domcontentloaded' });
  await page.waitForFunction(`document.getElementById('link').textContent === 'Live'`);
  return { page, errors, elsewhere };
}

/** The cells of a table's body. */
export const cellsOf = async (page: Page, table: string): Promise<string[][]> =>
  (await page.evaluate(
    `[...document.querySelectorAll('#${table} tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))`,
  )) as string[][];

/** What axe-core finds wrong (WCAG A and AA, and best practices), in words. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
  return (await page.evaluate(
    `axe.run().then((found) => found.violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => id + ': ' + html + ' ' + failureSummary)))`,
  )) as string[];
}
