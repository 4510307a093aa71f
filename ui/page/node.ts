import type { LiveDevice, LiveNode, LiveRun, LiveRuns, LiveTenant } from '../../api/live.js';
import { follow } from './events.js';
import type { Cell } from './tables.js';
import { element, fill, say } from './tables.js';
import { Timeline } from './timeline.js';
import { clockTime, milliseconds, percent, perSecond, ratio } from './words.js';

/** What “a second” is taken over. */
const RECENT_US = 5_000_000;
/** Who asked for less motion sees the timeline move this often. */
const STILL_MS = 1000;

interface DeviceView {
  readonly timeline: Timeline;
  readonly summary: HTMLElement;
  readonly failure: HTMLElement;
  readonly shares: ReadonlyMap<string, { readonly meter: HTMLMeterElement; readonly text: HTMLElement }>;
}

const devices = new Map<number, DeviceView>();
/** How things stood during the last seconds, the oldest first. */
const history: LiveNode[] = [];
/** The page's clock less the node's, in microseconds, by the event that took the least time. */
let apartUs = Infinity;

const hear = (nowUs: number): void => {
  apartUs = Math.min(apartUs, performance.now() * 1000 - nowUs);
};
const nodeNowUs = (): number => performance.now() * 1000 - apartUs;

function viewOf(device: number): DeviceView {
  const known = devices.get(device);
  if (known !== undefined) return known;
  const title = document.createElement('h3');
  title.textContent = `Device ${device}`;
  const timeline = new Timeline(
    `What device ${device} ran in the last ten seconds; the sentence above says the same in numbers`,
  );
  const [summary, failure, list] = [
    document.createElement('p'),
    document.createElement('p'),
    document.createElement('dl'),
  ];
  failure.className = 'failure';
  summary.id = `device-${device}`;
  list.className = 'shares';
  const shares = new Map(
    Object.entries({ device: 'Device promised', receive: 'Receiving promised', decode: 'Decoding promised' }).map(
      ([name, words]) => {
        const [row, term, value] = [
          document.createElement('div'),
          document.createElement('dt'),
          document.createElement('dd'),
        ];
        const [meter, text] = [document.createElement('meter'), document.createElement('span')];
        term.textContent = words;
        meter.setAttribute('aria-label', `${words}, device ${device}`);
        value.append(meter, ' ', text);
        row.append(term, value);
        list.append(row);
        return [name, { meter, text }];
      },
    ),
  );
  element('devices').append(title, summary, failure, timeline.canvas, list);
  const view = { timeline, summary, failure, shares };
  devices.set(device, view);
  return view;
}

function tellRuns(data: unknown): void {
  const { nowUs, devices: all } = data as LiveRuns;
  hear(nowUs);
  for (const { device, runs } of all) viewOf(device).timeline.add(runs);
}

function tellNode(data: unknown): void {
  const node = data as LiveNode;
  // Counts begin anew with an agent that was started again.
  if (
    node.nowUs < (history.at(-1)?.nowUs ?? 0) ||
    node.devices.some(({ runs }, i) => runs < (history.at(-1)?.devices[i]?.runs ?? 0))
  ) {
    history.length = 0;
    apartUs = Infinity;
    for (const { timeline } of devices.values()) timeline.clear();
  }
  hear(node.nowUs);
  history.push(node);
  while (history.length > 1 && history[1]!.nowUs <= node.nowUs - RECENT_US) history.shift();
  say(element('version'), `${node.version}, ${node.ready ? 'ready' : 'not ready'}`);
  for (const device of node.devices) tellDevice(device, node);
  const before = new Map(history[0]!.tenants.map((tenant) => [tenant.tenant, tenant]));
  const seconds = (node.nowUs - history[0]!.nowUs) / 1e6;
  fill(
    'tenants',
    node.tenants.map((tenant) => tenantRow(tenant, before.get(tenant.tenant), seconds)),
    'Nobody is served here.',
  );
  fill(
    'refused',
    node.tenants.flatMap((tenant) => refusedRows(tenant, before.get(tenant.tenant))),
    'All were answered.',
  );
  fill(
    'late',
    node.late.map(({ at, tenant, cause, latencyUs, deadlineUs, code = '' }) => [
      clockTime(at),
      tenant,
      cause,
      milliseconds(latencyUs),
      milliseconds(deadlineUs),
      code,
    ]),
    'None was.',
  );
}

function tellDevice({ device, failure, promised }: LiveDevice, { tenants, late }: LiveNode): void {
  const view = viewOf(device);
  const categories = new Map(
    tenants.filter(({ devices: on }) => on.includes(device)).map((each) => [each.tenant, each.category]),
  );
  view.timeline.tellLate(late, (tenant) => categories.get(tenant));
  say(view.failure, failure ?? '');
  for (const [name, share] of Object.entries(promised)) {
    const { meter, text } = view.shares.get(name)!;
    meter.value = share;
    say(text, percent(share));
  }
  say(view.summary, summaryOf(view.timeline.shown(nodeNowUs())));
}

/** The timeline, for who reads. */
function summaryOf(runs: readonly LiveRun[]): string {
  const sum = (of: (run: LiveRun) => number): number => runs.reduce((all, run) => all + of(run), 0);
  const frames = sum(([, , count]) => count);
  const promised = sum(([, , , count]) => count);
  const over = runs.filter(([, , , , , us, wcetUs]) => us > wcetUs).length;
  return `${runs.length} runs of ${frames} frames, ${promised} of them promised; busy ${percent(sum(([, , , , , us]) => us) / 10_000_000)}; ${over} longer than their WCET.`;
}

const sumOf = (outcomes: Readonly<Record<string, number>>): number =>
  Object.values(outcomes).reduce((a, b) => a + b, 0);

function tenantRow(now: LiveTenant, before: LiveTenant | undefined, seconds: number): Cell[] {
  const came = sumOf(now.outcomes);
  const rate = before === undefined || seconds === 0 ? 0 : (came - sumOf(before.outcomes)) / seconds;
  const { deadlineUs } = now;
  return [
    now.tenant,
    now.category,
    now.promisedPerSecond === 0 ? 'none' : perSecond(now.promisedPerSecond),
    perSecond(rate),
    ratio(now.outcomes['onTime'] ?? 0, came),
    milliseconds(now.p50Us),
    { text: milliseconds(now.p99Us), bad: deadlineUs !== undefined && now.p99Us > deadlineUs },
    deadlineUs === undefined ? 'none' : milliseconds(deadlineUs),
    { text: `${now.misses} of ${now.promisedFrames}`, bad: now.misses > 0 },
    `${now.spareFrames}`,
  ];
}

const refusedRows = ({ tenant, refusals }: LiveTenant, before: LiveTenant | undefined): Cell[][] =>
  Object.entries(refusals).map(([code, count]) => [
    tenant,
    code,
    `${count}`,
    `${count - (before?.refusals[code] ?? 0)}`,
  ]);

function draw(): void {
  if (apartUs !== Infinity) for (const { timeline } of devices.values()) timeline.draw(nodeNowUs());
}

follow({ runs: tellRuns, node: tellNode });
if (matchMedia('(prefers-reduced-motion: reduce)').matches) setInterval(draw, STILL_MS);
else {
  const again = (): void => {
    draw();
    requestAnimationFrame(again);
  };
  requestAnimationFrame(again);
}
