#!/usr/bin/env node
/** The deeprt command. An older Node is told in a sentence, before anything is loaded that it does not understand. */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(
    `deeprt: needs Node 22.19 or newer, and this is ${process.version}; bin/deeprt of its source brings one\n`,
  );
  process.exitCode = 2;
} else await import('./program.js');

export {};
