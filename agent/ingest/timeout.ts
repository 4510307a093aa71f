import { nowUs } from '../../kube/clock.js';
import type { Answer } from '../serving/flights.js';
import { FrameDropped } from '../serving/flights.js';

/** The longest timer that there is. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * A frame's answer, for a sender who waits no longer than it says (`parameters.timeout`). When the device takes the frame stays
 * as it was promised: the answer is thrown away.
 *
 * @throws FrameDropped when the time is over
 */
export async function within(
  answer: Promise<Answer>,
  arrivedUs: number,
  timeoutUs: number | undefined,
): Promise<Answer> {
  if (timeoutUs === undefined) return answer;
  const leftMs = (arrivedUs + timeoutUs - nowUs()) / 1000;
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<'over'>((resolve) => {
    timer = setTimeout(() => resolve('over'), Math.max(0, Math.min(LONGEST_MS, leftMs)));
  });
  try {
    const first = await Promise.race([answer, over]);
    if (first !== 'over' && nowUs() <= arrivedUs + timeoutUs) return first;
  } finally {
    clearTimeout(timer);
  }
  answer.then(
    ({ release }) => release(),
    () => undefined,
  );
  throw new FrameDropped(
    'TimeoutPassed',
    `there was no answer within the ${timeoutUs}us that parameters.timeout allows`,
  );
}
