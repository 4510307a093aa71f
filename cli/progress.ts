const WIDTH = 30;
const PLAIN_STEP = 0.25;

/** A progress bar on a terminal; elsewhere a line now and then. */
export function progressBar(
  title: string,
  out: NodeJS.WriteStream = process.stderr,
): (what: string, share: number) => void {
  let lastShare = -1;
  let lastWhat = '';
  return (what, share) => {
    if (out.isTTY) {
      const filled = Math.round(share * WIDTH);
      out.write(
        `\r\x1b[K${title} [${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}] ${Math.round(share * 100)}% ${what}${share >= 1 ? '\n' : ''}`,
      );
      return;
    }
    if (what === lastWhat && share < lastShare + PLAIN_STEP && share < 1) return;
    lastShare = share;
    lastWhat = what;
    out.write(`${title} ${Math.round(share * 100)}%: ${what}\n`);
  };
}
