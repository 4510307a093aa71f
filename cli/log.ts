import { Writable } from 'node:stream';
import type { Logger } from 'pino';
import { pino } from 'pino';

export type { Logger };

/** Structured JSON on stderr; on a terminal, or with `text`, the same as readable lines. */
export function newLogger(format: 'json' | 'text'): Logger {
  const options = { level: process.env['LOG_LEVEL'] ?? 'info', base: null };
  return format === 'json' ? pino(options, pino.destination({ dest: 2, sync: true })) : pino(options, readable);
}

const LEVELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

const readable = new Writable({
  write(line: Buffer, _encoding, done) {
    const { level, time, msg, ...fields } = JSON.parse(line.toString()) as { level: number; time: number; msg: string };
    const at = new Date(time).toISOString().slice(11, 23);
    const rest = Object.entries(fields).map(
      ([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
    );
    process.stderr.write(`${at} ${(LEVELS[level] ?? '').padEnd(5)} ${msg}${rest.join('')}\n`);
    done();
  },
});
