import { readFileSync } from 'node:fs';
import { nowUs } from '../../kube/clock.js';
import { allowedCores } from '../device/cores.js';

/** Others that take more of the cores than this make measurements longer than they should be. */
const MUCH = 0.15;
/** Of /proc; the same on all Linux machines. */
const TICK_US = 10_000;

/** How busy this process's cores were, and how much of that was its own and its devices' doing, in ticks; undefined where that is not told. */
function ticks(
  pids: readonly number[],
): { readonly busy: number; readonly own: number; readonly cores: number } | undefined {
  const cores = allowedCores();
  if (cores === undefined) return undefined;
  try {
    let busy = 0;
    for (const line of readFileSync('/proc/stat', 'utf8').split('\n')) {
      const [name, user, nice, system, , , irq, soft, steal] = line.split(/\s+/);
      if (/^cpu\d+$/.test(name!) && cores.includes(Number(name!.slice(3))))
        for (const part of [user, nice, system, irq, soft, steal]) busy += Number(part);
    }
    let own = 0;
    for (const pid of pids) {
      // The second field, a name in parentheses, may hold anything.
      const [, fields] = /\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))!;
      const [utime, stime] = fields!.split(' ').slice(11, 13).map(Number);
      own += utime! + stime!;
    }
    return { busy, own, cores: cores.length };
  } catch {
    return undefined;
  }
}

/** Whether other processes take much of the cores that this one measures with. */
export class Contention {
  readonly #pids: () => readonly number[];
  #since: { readonly atUs: number; readonly ticks: ReturnType<typeof ticks> };

  /** @param pids of this process and those that work for it */
  constructor(pids: () => readonly number[]) {
    this.#pids = pids;
    this.#since = { atUs: nowUs(), ticks: ticks(pids()) };
  }

  /** From now on. */
  restart(): void {
    this.#since = { atUs: nowUs(), ticks: ticks(this.#pids()) };
  }

  /** Since the start, in microseconds. */
  get lastsUs(): number {
    return nowUs() - this.#since.atUs;
  }

  /** The share of the cores that others took since the start; 0 where that is not known. */
  get share(): number {
    const [before, after] = [this.#since.ticks, ticks(this.#pids())];
    if (before === undefined || after === undefined) return 0;
    const othersUs = TICK_US * (after.busy - before.busy - (after.own - before.own));
    return Math.max(0, othersUs / (this.lastsUs * after.cores));
  }

  get much(): boolean {
    return this.share > MUCH;
  }
}
