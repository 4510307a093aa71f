import { element, say } from './tables.js';

/** Nothing heard for so long means that nobody is there, whatever the connection looks like. */
const SILENT_MS = 5000;
const RETRY_MS = 1000;

/**
 * Follows this page's events for as long as it is open, whatever becomes of the connection, and says how that stands.
 *
 * @param told what to do with each kind of event
 */
export function follow(told: Readonly<Record<string, (data: unknown) => void>>): void {
  const link = element('link');
  let heardMs = performance.now();
  let source: EventSource;
  const connect = (): void => {
    source = new EventSource('ui/events');
    for (const [event, tell] of Object.entries(told))
      source.addEventListener(event, ({ data }: MessageEvent<string>) => {
        heardMs = performance.now();
        say(link, 'Live');
        tell(JSON.parse(data));
      });
  };
  connect();
  setInterval(() => {
    const silentMs = performance.now() - heardMs;
    if (silentMs > SILENT_MS) say(link, 'Nothing heard; what is shown is old');
    if (source.readyState === EventSource.CLOSED || silentMs > 2 * SILENT_MS) {
      source.close();
      heardMs = Math.max(heardMs, performance.now() - SILENT_MS - RETRY_MS);
      connect();
    }
  }, RETRY_MS);
}
