/** An agent over a folder of manifests, for a benchmark that pins it to a core: node agent-server.js DIR STATE */
import { newLogger } from '../cli/log.js';
import { Standalone } from '../cli/standalone.js';

const [dir, stateDir] = process.argv.slice(2) as [string, string];
const standalone = await Standalone.start({
  dir,
  stateDir,
  devices: [{ provider: 'cpu', threads: 1 }],
  listen: { listen: { host: '127.0.0.1', port: 0 } },
  log: newLogger('text'),
});
console.log(`listening on ${standalone.url}`);
process.on('SIGTERM', () => void standalone.stop().then(() => process.exit(0)));
