import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { Option } from 'commander';
import { MEASURE_AGAIN } from '../../api/names.js';
import { timestamp } from '../../kube/clock.js';
import { PROFILES, TENANTS } from '../../kube/kinds.js';
import { Objects } from '../../kube/objects.js';
import type { ProfileObject } from '../../operator/objects.js';
import { collect } from '../cluster/bundle.js';
import { BadInput } from '../directory.js';
import { durationOption } from '../options.js';
import type { Asked } from './asking.js';
import { answer, asking, placeOf, question, systemNamespaceOption, tenantAt } from './asking.js';
import { EXIT } from './shared.js';

const POLL_MS = 500;

/** What people have a cluster do, with their own rights. */
export function actionCommands(program: Command): void {
  for (const [name, suspend, description] of [
    [
      'pause',
      true,
      'Has a tenant give its place up for now (spec.suspend): nothing is promised, no frame is served, the manifest stays.',
    ],
    ['resume', false, 'Has a paused tenant ask for its place again; wait says whether it got it.'],
  ] as const)
    question(program, name, description)
      .argument('<tenant>', 'its name, or NAMESPACE/NAME')
      .option('-n, --namespace <name>', 'the tenant’s namespace; the current context’s when not given')
      .action((text: string, options: Asked & { namespace?: string }) =>
        asking(options, async (cluster) => {
          const { metadata } = await tenantAt(cluster, placeOf(text, options.namespace, cluster));
          await new Objects(cluster, TENANTS).merge(metadata, { spec: { suspend } });
          const tenant = `${metadata.namespace}/${metadata.name}`;
          answer(
            options,
            { tenant, suspend },
            () => `${tenant} ${suspend ? 'gives its place up' : 'asks for its place again'}`,
          );
        }),
      );

  question(
    program,
    'reprofile',
    'Has the agent of a node measure its devices again; beside promised frames in what time they leave.',
  )
    .argument('<node>', 'its name')
    .option('--device <index>', 'this device only', Number)
    .addOption(durationOption('--timeout <time>', 'how long to wait until that is done; 0s: not at all', '10m'))
    .action((node: string, options: Asked & { device?: number; timeout: number }) =>
      asking(options, async (cluster) => {
        const profiles = new Objects<ProfileObject>(cluster, PROFILES);
        const isAsked = ({ spec }: ProfileObject): boolean =>
          spec.nodeName === node && (options.device === undefined || spec.device === options.device);
        const asked = (await profiles.list()).items.filter(isAsked);
        if (asked.length === 0)
          throw new BadInput(`there is no GPUProfile of such a device of ${node}; kubectl get gpr lists them`);
        for (const { metadata } of asked)
          await profiles.merge(metadata, { metadata: { annotations: { [MEASURE_AGAIN]: timestamp() } } });
        const isWaited = ({ metadata }: ProfileObject): boolean => metadata.annotations?.[MEASURE_AGAIN] !== undefined;
        const untilMs = performance.now() + options.timeout / 1000;
        let waited = asked;
        while (waited.length > 0 && performance.now() < untilMs) {
          await delay(POLL_MS);
          waited = (await profiles.list()).items.filter((profile) => isAsked(profile) && isWaited(profile));
        }
        const names = (of: readonly ProfileObject[]): string[] => of.map(({ metadata }) => metadata.name);
        if (options.timeout > 0 && waited.length > 0) process.exitCode = EXIT.failed;
        answer(options, { asked: names(asked), waited: names(waited) }, (told) =>
          told.waited.length === 0
            ? `measured again: ${told.asked.join(', ')}`
            : `asked; not measured again yet: ${told.waited.join(', ')}`,
        );
      }),
    );

  question(
    program,
    'support-bundle',
    'Collects in a folder what somebody who helps needs: objects, logs, metrics, what check and capacity say. Reads no Secret.',
  )
    .addOption(new Option('--dir <folder>', 'where to; made where it is missing').default('deeprt-support'))
    .addOption(systemNamespaceOption())
    .option('--lease-namespace <name>', 'where the operators’ Lease is', 'kube-system')
    .action((options: Asked & { dir: string; systemNamespace: string[]; leaseNamespace: string }) =>
      asking(options, async (cluster) => {
        const missing = await collect(cluster, options.dir, options.systemNamespace, options.leaseNamespace);
        // What it was called for is not there then.
        if (missing.some((each) => each.startsWith('inferencetenants'))) process.exitCode = EXIT.failed;
        answer(options, { dir: options.dir, missing }, () =>
          [
            `collected in ${options.dir}; look through it before you hand it on`,
            ...missing.map((each) => `could not be read: ${each}`),
          ].join('\n'),
        );
      }),
    );
}
