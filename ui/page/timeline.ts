import type { LiveLate, LiveRun } from '../../api/live.js';

const SHOWN_US = 10_000_000;
/** What has run is told of somewhat later. */
const BEHIND_US = 400_000;
const LANE_PX = 34;
const AXIS_PX = 18;
/** By their heights kinds of runs are told apart without colours. */
const HEIGHT = { visit: 18, eager: 12, spare: 6 } as const;
const OVER_PX = 4;

type Kind = keyof typeof HEIGHT;

/** A device's runs of the last seconds, a lane for each category. */
export class Timeline {
  readonly canvas = document.createElement('canvas');
  readonly #runs: LiveRun[] = [];
  #colours: Colours | undefined;
  #lanes: readonly string[] = [];
  #late: readonly { readonly atUs: number; readonly lane: string }[] = [];

  constructor(title: string) {
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => (this.#colours = undefined));
    this.canvas.setAttribute('role', 'img');
    this.canvas.setAttribute('aria-label', title);
  }

  /** The node counts its time anew. */
  clear(): void {
    this.#runs.length = 0;
  }

  add(runs: readonly LiveRun[]): void {
    this.#runs.push(...runs);
  }

  /** @param laneOf the category of a tenant */
  tellLate(late: readonly LiveLate[], laneOf: (tenant: string) => string | undefined): void {
    this.#late = late.flatMap(({ atUs, tenant }) => {
      const lane = laneOf(tenant);
      return lane === undefined ? [] : [{ atUs, lane }];
    });
  }

  /** Forgets what is not shown any more; the runs that are. */
  shown(nowUs: number): readonly LiveRun[] {
    const fromUs = nowUs - BEHIND_US - SHOWN_US;
    let old = 0;
    while (old < this.#runs.length && this.#runs[old]![4] + this.#runs[old]![5] < fromUs) old++;
    this.#runs.splice(0, old);
    return this.#runs;
  }

  draw(nowUs: number): void {
    const runs = this.shown(nowUs);
    this.#lanes = [...new Set([...this.#lanes, ...runs.map(([category]) => category)])].sort();
    const { clientWidth: width } = this.canvas;
    const height = LANE_PX * Math.max(1, this.#lanes.length) + AXIS_PX;
    const scale = devicePixelRatio;
    if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(height * scale)) {
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
      this.canvas.style.height = `${height}px`;
    }
    const pen = this.canvas.getContext('2d')!;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const colours = (this.#colours ??= coloursOf(this.canvas));
    const xOf = (us: number): number => width * (1 - (nowUs - BEHIND_US - us) / SHOWN_US);
    drawAxis(pen, width, height, colours);
    const lanes = new Map(this.#lanes.map((name, i) => [name, LANE_PX * i]));
    // Runs of one kind that come to the same pixels are drawn once.
    const drawn = new Map<string, number>();
    for (const [category, kind, , promised, startUs, us, wcetUs] of runs) {
      const [from, to] = [Math.floor(xOf(startUs)), Math.ceil(xOf(startUs + us))];
      const what: Kind = promised === 0 ? 'spare' : kind;
      const over = us > wcetUs;
      const key = `${what} ${category}`;
      if (!over && drawn.get(key) === to) continue;
      drawn.set(key, to);
      const floor = lanes.get(category)! + LANE_PX - 3;
      pen.fillStyle = colours[what];
      pen.fillRect(from, floor - HEIGHT[what], Math.max(1, to - from), HEIGHT[what]);
      if (!over) continue;
      pen.fillStyle = colours.over;
      pen.fillRect(from, floor - HEIGHT[what] - OVER_PX, Math.max(2, to - from), OVER_PX);
    }
    pen.fillStyle = colours.over;
    for (const { atUs, lane } of this.#late) {
      const [x, y] = [xOf(atUs), (lanes.get(lane) ?? 0) + LANE_PX];
      pen.beginPath();
      pen.moveTo(x, y - 11);
      pen.lineTo(x + 5, y);
      pen.lineTo(x - 5, y);
      pen.fill();
    }
    pen.fillStyle = colours.ink;
    for (const [name, y] of lanes) pen.fillText(name, 4, y + 11);
  }
}

type Colours = Readonly<Record<Kind | 'over' | 'ink' | 'line', string>>;

/** Those of the page's style: light or dark, as its reader has it. */
function coloursOf(canvas: HTMLCanvasElement): Colours {
  const style = getComputedStyle(canvas);
  const of = (name: string): string => {
    canvas.style.color = `var(--${name})`;
    return style.color;
  };
  const names = ['visit', 'eager', 'spare', 'over', 'ink', 'line'] as const;
  return Object.fromEntries(names.map((name) => [name, of(name)])) as Colours;
}

function drawAxis(pen: CanvasRenderingContext2D, width: number, height: number, { ink, line }: Colours): void {
  pen.font = '11px system-ui, sans-serif';
  for (let second = 0; second <= 10; second += 2) {
    const x = (width * second) / 10;
    pen.fillStyle = line;
    pen.fillRect(x, 0, 1, height - AXIS_PX);
    pen.fillStyle = ink;
    pen.textAlign = second === 0 ? 'left' : second === 10 ? 'right' : 'center';
    pen.fillText(second === 10 ? 'now' : `${10 - second} s ago`, x, height - 5);
  }
  pen.textAlign = 'left';
}
