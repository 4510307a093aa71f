import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { apart } from '../../agent/device/cores.js';
import { Devices } from '../../agent/node/devices.js';
import { profileText } from '../../agent/profile/store.js';
import type { Logger } from '../../kube/log.js';
import { BadInput, readCatalogue } from '../directory.js';
import type { DeviceFlags } from '../device-options.js';
import { deviceOptions, promisedBy, withDeviceOptions } from '../device-options.js';
import { progressBar } from '../progress.js';
import { manifests, print } from './shared.js';

/** Of a model, where nothing can be done without it. */
const LONGEST_FETCH_MS = 3_600_000;

/** What goes wrong is told by the command itself. */
const SILENT: Logger = { info: () => undefined, warn: () => undefined, error: () => undefined };

export function profileCommand(program: Command): void {
  withDeviceOptions(program.command('profile'))
    .description('Measures E(n) of every model and shape in the folder on this machine and writes a GPUProfile.')
    .addOption(manifests())
    .requiredOption('-o, --output <file>', 'where to write the GPUProfile manifest; - for standard output')
    .option('--node-name <name>', 'name of the node in the profile', hostname().toLowerCase())
    .action(async (options: DeviceFlags & { filename: string; output: string; nodeName: string }) => {
      const catalogue = await readCatalogue(options.filename);
      if (catalogue.models.size === 0) throw new BadInput(`there is no InferenceModel in ${options.filename}`);
      const downloads = await mkdtemp(join(tmpdir(), 'deeprt-'));
      const devices = await Devices.start({
        node: options.nodeName,
        devices: apart(await deviceOptions(options)),
        promise: promisedBy(options),
        stateDir: downloads,
        graceMs: LONGEST_FETCH_MS,
        log: SILENT,
        progress: progressBar('profiling'),
      });
      try {
        const texts: string[] = [];
        const failures: string[] = [];
        for (const { keeper } of devices.units) {
          const models = [...catalogue.models.values()];
          const profile = await keeper.bring(models, ({ metadata }) => catalogue.baseDirs.get(metadata.name)!);
          failures.push(...keeper.unavailable.values());
          texts.push(profileText(profile));
        }
        const text = texts.join('---\n');
        if (options.output === '-') print(text);
        else await writeFile(options.output, text);
        // What was measured is not lost by what cannot be.
        if (failures.length > 0) throw new BadInput([...new Set(failures)].join('\n'));
      } finally {
        await devices.stop();
        await rm(downloads, { recursive: true, force: true });
      }
    });
}
