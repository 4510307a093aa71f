import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** What a page is made of: the page itself, its style, and its scripts as tsc has made them of ui/page/. */
const FILES = {
  node: ['node.js', 'timeline.js'],
  cluster: ['cluster.js'],
} as const;
const SHARED = ['page.css', 'events.js', 'tables.js', 'words.js'] as const;

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
};

/** Nothing from elsewhere, in nobody's frame. */
const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-cache',
};

const MOST_WATCHERS = 16;
const LONGEST_UNREAD_MS = 30_000;

/** A kind of event: how often it is told, and what it says to somebody who was told `last` before. */
export interface Told {
  readonly event: string;
  readonly everyMs: number;
  /** @returns what to tell, and what to be asked with next time */
  readonly tell: (last: unknown) => { readonly data: object; readonly last?: unknown };
}

type Respond = (req: IncomingMessage, res: ServerResponse) => void;

/**
 * A live page: files at /ui, and server-sent events (WHATWG HTML, 9.2) at /ui/events. Level-triggered: whoever connects, or
 * was too slow, is told how things are now.
 */
export class LivePage {
  /** What answers which path. */
  readonly paths: ReadonlyMap<string, Respond>;
  readonly #told: readonly Told[];
  #watchers = 0;

  constructor(page: keyof typeof FILES, told: readonly Told[]) {
    this.#told = told;
    const own = (name: string, file: string): [string, Respond] => [name, serveFile(file)];
    this.paths = new Map([
      own('/ui', `${page}.html`),
      ...[...SHARED, ...FILES[page]].map((name) => own(`/ui/${name}`, name)),
      ['/ui/events', (req, res) => this.#watch(req, res)],
    ]);
  }

  #watch(req: IncomingMessage, res: ServerResponse): void {
    const head = { ...HEADERS, 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' };
    if (req.method === 'HEAD') return void res.writeHead(200, head).end();
    if (this.#watchers >= MOST_WATCHERS) {
      res.writeHead(503, { 'Retry-After': '10' }).end('as many pages are open as this process tells of events\n');
      return;
    }
    this.#watchers++;
    res.writeHead(200, head);
    const timers = this.#told.map(({ event, everyMs, tell }) => {
      let last: unknown;
      let unreadMs = 0;
      const send = (): void => {
        // Who reads too slowly is told later, and then how things are then; who does not read at all leaves the place.
        unreadMs = res.writableNeedDrain ? unreadMs + everyMs : 0;
        if (unreadMs > LONGEST_UNREAD_MS) res.destroy();
        if (unreadMs > 0) return;
        const next = tell(last);
        last = next.last;
        res.write(`event: ${event}\ndata: ${JSON.stringify(next.data)}\n\n`);
      };
      send();
      return setInterval(send, everyMs);
    });
    req.socket.setTimeout(0);
    res.once('close', () => {
      this.#watchers--;
      for (const timer of timers) clearInterval(timer);
    });
  }
}

/** Read once: what is shipped does not change. */
function serveFile(file: string): Respond {
  const extension = file.split('.').at(-1)!;
  const folder = extension === 'js' ? './page/' : '../../ui/static/';
  let content: Buffer | undefined;
  return (_req, res) => {
    content ??= readFileSync(new URL(`${folder}${file}`, import.meta.url));
    res.writeHead(200, { ...HEADERS, 'Content-Type': TYPES[extension], 'Content-Length': content.length });
    res.end(content);
  };
}
