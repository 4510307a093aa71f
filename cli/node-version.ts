/** Whether this Node understands the rest; an older one is told in a sentence, before anything is loaded that it does not understand. */
export function isNodeNewEnough(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 22 || (major === 22 && minor >= 19)) return true;
  process.stderr.write(
    `deeprt: needs Node 22.19 or newer, and this is ${process.version}; bin/deeprt of its source brings one\n`,
  );
  process.exitCode = 2;
  return false;
}
