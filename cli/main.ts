#!/usr/bin/env node
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { apart } from '../agent/device/cores.js';
import { installCuda } from '../agent/device/providers/install-cuda.js';
import { Devices } from '../agent/node/devices.js';
import { profileText } from '../agent/profile/store.js';
import { VERSION } from '../api/version.js';
import type { Logger } from '../kube/log.js';
import type { Fault } from '../sched/faults.js';
import { addClusterCommands } from './cluster.js';
import { BadInput, readCatalogue } from './directory.js';
import { examine, healthTable } from './doctor.js';
import { loadTable, runLoad } from './load.js';
import { newLogger } from './log.js';
import type { DeviceFlags } from './options.js';
import {
  credentialsFrom,
  deviceMemoryOption,
  cpuDevicesOption,
  devicesOption,
  deviceOptions,
  durationArgument,
  faultArgument,
  listenArgument,
  logOption,
  promiseOption,
  promisedBy,
  providerOption,
  seedArgument,
  stateOption,
  threadsOption,
  tlsOption,
  untilStopped,
} from './options.js';
import { planFiles, planJson, planTable } from './plan.js';
import type { Policy } from './policies.js';
import { POLICIES } from './policies.js';
import { progressBar } from './progress.js';
import { reportOf, reportTable } from './report.js';
import { simulateFiles, simulationTable } from './simulate.js';
import { Standalone } from './standalone.js';

const EXIT = { good: 0, failed: 1, badInput: 2, notAllAdmitted: 3 } as const;

const manifests = (): Option =>
  new Option(
    '-f, --filename <dir>',
    'folder (or file) of InferenceTenant and InferenceModel manifests',
  ).makeOptionMandatory();
const profileOption = (): Option =>
  new Option(
    '--profile <file...>',
    'GPUProfile manifests, one or more, as deeprt profile writes them',
  ).makeOptionMandatory();
const outputOption = (flag: string): Option =>
  new Option(flag, 'how to print').choices(['table', 'json']).default('table');
const durationOption = (what: string, usual: string): Option =>
  new Option('--duration <time>', what).argParser(durationArgument).default(durationArgument(usual), usual);
const print = (text: string): void => void process.stdout.write(`${text}\n`);

const program = new Command('deeprt')
  .description(
    'Soft-real-time inference for camera streams on edge nodes: admission with a latency guarantee, batching across tenants.',
  )
  .version(VERSION)
  .exitOverride()
  .configureHelp({ sortSubcommands: false })
  .addHelpText('after', '\nExit codes: 0 good, 2 bad input, 3 not all tenants admitted (plan), 1 anything else.');

program
  .command('standalone')
  .description(
    'Runs DeepRT on this machine over a folder of manifests, without a cluster: loads the models, measures the machine\n(or reuses the measurement in --state), admits the tenants, serves their frames over HTTP. Follows the folder while\nit runs. SIGINT or SIGTERM: answers what was accepted, prints the report, ends.',
  )
  .addOption(manifests())
  .option('--duration <time>', 'end after this long, for instance 30s', durationArgument)
  .addOption(outputOption('--report <form>'))
  .addOption(stateOption())
  .addOption(providerOption())
  .addOption(threadsOption())
  .addOption(devicesOption())
  .addOption(cpuDevicesOption())
  .addOption(deviceMemoryOption())
  .addOption(promiseOption())
  .option('--listen <address>', 'address and port to serve on', listenArgument, { host: '127.0.0.1', port: 8080 })
  .addOption(tlsOption())
  .option('--no-adaptation', 'without the Adaptation Module, to compare')
  .addOption(logOption())
  .addHelpText(
    'after',
    '\nFrames go to POST /v2/models/<namespace>.<tenant>/infer (Open Inference Protocol v2, or a JPEG or PNG body):\n  curl -H "Content-Type: image/jpeg" --data-binary @frame.jpg http://127.0.0.1:8080/v2/models/default.gate/infer',
  )
  .action(
    async (
      options: DeviceFlags & {
        filename: string;
        duration?: number;
        report: 'table' | 'json';
        state: string;
        listen: { host: string; port: number };
        tlsDir?: string;
        adaptation: boolean;
        log: 'text' | 'json';
      },
    ) => {
      const log = newLogger(options.log);
      const credentials = await credentialsFrom(options.tlsDir, log);
      const standalone = await Standalone.start({
        dir: options.filename,
        stateDir: options.state,
        devices: apart(await deviceOptions(options)),
        promise: promisedBy(options),
        adaptation: options.adaptation,
        ...options.listen,
        ...(credentials === undefined ? {} : { credentials }),
        log,
      });
      const servingSinceMs = performance.now();
      const watcher = standalone.watch();
      await untilStopped(options.duration);
      await watcher.stop();
      await standalone.stop();
      const report = reportOf(standalone, servingSinceMs);
      print(options.report === 'json' ? JSON.stringify(report, null, 2) : reportTable(report));
    },
  );

/** Of a model, where nothing can be done without it. */
const LONGEST_FETCH_MS = 3_600_000;

/** What goes wrong is told by the command itself. */
const SILENT: Logger = { info: () => undefined, warn: () => undefined, error: () => undefined };

program
  .command('profile')
  .description('Measures E(n) of every model and shape in the folder on this machine and writes a GPUProfile.')
  .addOption(manifests())
  .requiredOption('-o, --output <file>', 'where to write the GPUProfile manifest; - for standard output')
  .option('--node-name <name>', 'name of the node in the profile', hostname().toLowerCase())
  .addOption(providerOption())
  .addOption(threadsOption())
  .addOption(devicesOption())
  .addOption(cpuDevicesOption())
  .addOption(deviceMemoryOption())
  .addOption(promiseOption())
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
      for (const { keeper } of devices.units) {
        const models = [...catalogue.models.values()];
        const profile = await keeper.bring(models, ({ metadata }) => catalogue.baseDirs.get(metadata.name)!);
        if (keeper.unavailable.size > 0) throw new BadInput([...keeper.unavailable.values()].join('\n'));
        texts.push(profileText(profile));
      }
      const text = texts.join('---\n');
      if (options.output === '-') print(text);
      else await writeFile(options.output, text);
    } finally {
      await devices.stop();
      await rm(downloads, { recursive: true, force: true });
    }
  });

program
  .command('plan')
  .description(
    'Says which tenants of the folder would be admitted on nodes with these profiles, and why. Needs no device.',
  )
  .addOption(manifests())
  .addOption(profileOption())
  .addOption(outputOption('-o, --output <form>'))
  .action(async (options: { filename: string; profile: string[]; output: 'table' | 'json' }) => {
    const decision = await planFiles(options.filename, options.profile);
    print(options.output === 'json' ? JSON.stringify(planJson(decision), null, 2) : planTable(decision));
    if (decision.verdicts.some(({ admitted }) => !admitted)) process.exitCode = EXIT.notAllAdmitted;
  });

program
  .command('simulate')
  .description(
    'Runs tenants in virtual time: the very batcher of the agent, seeded phases and jitter, runs at their WCET\nbut for the faults that are asked for.',
  )
  .addOption(manifests())
  .addOption(profileOption())
  .option('--seed <n>', 'seed of phases and jitter', seedArgument, 1)
  .addOption(durationOption('virtual time to cover', '60s'))
  .option(
    '--fault <fault>',
    'something that goes wrong; may be given several times (see below)',
    (text, before: Fault[] | undefined) => faultArgument(text, before),
  )
  .option('--no-adaptation', 'without the Adaptation Module, to compare')
  .addOption(
    new Option(
      '--policy <policy>',
      'by which rule devices serve: ours (rounds), or what to compare it with (see below)',
    )
      .choices(POLICIES)
      .default('rounds'),
  )
  .addOption(outputOption('-o, --output <form>'))
  .addHelpText(
    'after',
    '\nPolicies: rounds: promised frames by quota rounds, all others in spare time; no-spare: the same without spare time;\n  eager: the most urgent first, nothing promised; dynamic-batcher: batches of up to 8, 5ms of delay, first come first\n  served, nothing promised; paper: windows and EDF, for those whom the paper’s admission takes.\n\nFaults, each of one category where category=<model>@<CxHxW> is given, else of all:\n  overrun:factor=2,from=5s,for=2s   runs take twice as long for a while\n  drift:factor=1.3,from=10s         from then on\n  hang:from=12s,for=500ms           a run never ends: after 10 times its WCET (at least 1s) the device is replaced,\n                                    which takes 500ms; frames that are with it, or come before, fail',
  )
  .action(
    async (options: {
      filename: string;
      profile: string[];
      seed: number;
      duration: number;
      fault?: Fault[];
      adaptation: boolean;
      policy: Policy;
      output: 'table' | 'json';
    }) => {
      const report = await simulateFiles(options.filename, options.profile, {
        seed: options.seed,
        durationUs: options.duration,
        faults: options.fault ?? [],
        adaptation: options.adaptation,
        policy: options.policy,
      });
      print(options.output === 'json' ? JSON.stringify(report, null, 2) : simulationTable(report));
    },
  );

program
  .command('load')
  .description(
    'Plays the tenants’ cameras against an agent: each stream sends JPEG frames on its own clock, whether or not answers come back.',
  )
  .addOption(manifests())
  .requiredOption('--target <url>', 'where the agent listens, such as http://127.0.0.1:8080')
  .addOption(durationOption('how long to send', '30s'))
  .option(
    '--frames <dir>',
    'folder of JPEG frames: gate-1.jpg is for tenants gate and gate-north, any for tenants without; drawn noise when not given',
  )
  .option('--seed <n>', 'seed of the cameras’ phases', seedArgument, 1)
  .addOption(outputOption('-o, --output <form>'))
  .action(
    async (options: {
      filename: string;
      target: string;
      duration: number;
      frames?: string;
      seed: number;
      output: 'table' | 'json';
    }) => {
      const tenants = await runLoad({
        dir: options.filename,
        target: options.target,
        durationMs: options.duration / 1000,
        seed: options.seed,
        ...(options.frames === undefined ? {} : { framesDir: options.frames }),
      });
      print(options.output === 'json' ? JSON.stringify({ tenants }, null, 2) : loadTable(tenants));
    },
  );

program
  .command('doctor')
  .description(
    'Says which execution providers work on this machine, by running a network on each, and what the others lack.',
  )
  .addOption(threadsOption())
  .addOption(outputOption('-o, --output <form>'))
  .action(async (options: { provider: 'auto'; threads?: number; output: 'table' | 'json' }) => {
    const health = await examine(options);
    print(options.output === 'json' ? JSON.stringify(health, null, 2) : healthTable(health));
  });

program
  .command('install-provider')
  .description(
    'Installs what an execution provider needs beside onnxruntime-node. cuda: ONNX Runtime’s CUDA and TensorRT libraries, from\nthe Python package of the same version, by pip (needs python3), checked against a recorded digest. The NVIDIA driver,\nCUDA and cuDNN are the system’s; deeprt doctor says what is missing.',
  )
  .argument('<provider>', 'cuda', (name) => {
    if (name !== 'cuda') throw new InvalidArgumentError('there is only cuda to install');
    return name;
  })
  .action(async () => print((await installCuda()).map((file) => `installed ${file}`).join('\n')));

addClusterCommands(program);

// Who reads on, such as head, may have seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.good : EXIT.badInput;
  else {
    process.stderr.write(`deeprt: ${(error as Error).message}\n`);
    process.exitCode = error instanceof BadInput ? EXIT.badInput : EXIT.failed;
  }
}
