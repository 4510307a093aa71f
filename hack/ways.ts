/** docs/ways.svg: a frame's way and a tenant's way, drawn from the lines below. */

interface Step {
  readonly name: string;
  /** What happens there. */
  readonly what: string;
  /** Where that is in the code. */
  readonly where: string;
}

const WAYS: Readonly<Record<string, readonly Step[]>> = {
  'A tenant’s way': [
    { name: 'InferenceTenant', what: 'kubectl apply', where: 'crds/' },
    { name: 'admission', what: 'do all promises still hold?', where: 'operator/admission/' },
    { name: 'NodeSchedule', what: 'record of what is promised', where: 'operator/records.ts' },
    { name: 'agent', what: 'checks it again, applies it', where: 'agent/node/' },
    { name: 'status', what: 'where, how much, or why not', where: 'operator/publish/' },
  ],
  'A frame’s way': [
    { name: 'camera', what: 'HTTP, JPEG or tensor', where: 'any client' },
    { name: 'receive', what: 'whose, how large, promised?', where: 'agent/ingest/' },
    { name: 'decode', what: 'image to tensor', where: 'agent/ingest/decode/' },
    { name: 'batch', what: 'most urgent first, guarded', where: 'sched/batcher.ts' },
    { name: 'device', what: 'one run for many tenants', where: 'agent/device/' },
    { name: 'answer', what: 'with its times', where: 'agent/ingest/answer.ts' },
  ],
};

const [BOX, GAP, HEIGHT, MARGIN, HEAD] = [186, 24, 74, 16, 30];

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

function drawn({ name, what, where }: Step, x: number, y: number): string {
  const middle = x + BOX / 2;
  const line = (style: string, dy: number, text: string): string =>
    `<text class="${style}" x="${middle}" y="${y + dy}">${escaped(text)}</text>`;
  return [
    `<rect x="${x}" y="${y}" width="${BOX}" height="${HEIGHT}" rx="6"/>`,
    line('name', 24, name),
    line('what', 43, what),
    line('where', 61, where),
  ].join('');
}

/** Readable on light and dark pages alike. */
export function ways(): string {
  const longest = Math.max(...Object.values(WAYS).map((steps) => steps.length));
  const width = 2 * MARGIN + longest * BOX + (longest - 1) * GAP;
  const lane = HEAD + HEIGHT + MARGIN;
  const parts = Object.entries(WAYS).flatMap(([title, steps], row) => {
    const top = MARGIN + row * lane;
    const y = top + HEAD;
    const arrows = steps.slice(1).map((_, i) => {
      const x = MARGIN + (i + 1) * BOX + i * GAP;
      return `<path d="M${x + 3} ${y + HEIGHT / 2} h${GAP - 10}" marker-end="url(#head)"/>`;
    });
    return [
      `<text class="title" x="${MARGIN}" y="${top + 18}">${escaped(title)}</text>`,
      ...steps.map((step, i) => drawn(step, MARGIN + i * (BOX + GAP), y)),
      ...arrows,
    ];
  });
  const height = MARGIN + Object.keys(WAYS).length * lane;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(Object.keys(WAYS).join(', '))}">
<style>
text { font: 12px system-ui, sans-serif; text-anchor: middle; fill: #24292f } .title { font-weight: 600; font-size: 15px; text-anchor: start }
.name { font-weight: 600; font-size: 14px } .what { font-size: 11px } .where { font: 11px ui-monospace, monospace; fill: #57606a }
rect { fill: #f6f8fa; stroke: #8c959f } path { stroke: #57606a; stroke-width: 1.5; fill: none } marker path { fill: #57606a; stroke: none }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .where { fill: #9198a1 } rect { fill: #161b22; stroke: #6e7681 } path { stroke: #9198a1 } }
</style>
<defs><marker id="head" markerWidth="8" markerHeight="8" refX="5" refY="4" orient="auto"><path d="M0 1 L7 4 L0 7 z"/></marker></defs>
${parts.join('\n')}
</svg>
`;
}

/** The paths of the code that it names. */
export const namedPaths = (): string[] =>
  Object.values(WAYS).flatMap((steps) => steps.map(({ where }) => where).filter((where) => where.includes('/')));
