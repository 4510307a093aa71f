import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { capacityOf, capacityText } from '../cluster/capacity.js';
import { check, findingsText } from '../cluster/check.js';
import type { Reading } from '../cluster/reading.js';
import { MayNotRead, readCluster, snapshotOf } from '../cluster/reading.js';
import { topOf, topText } from '../cluster/top.js';
import { traceOf, traceText } from '../cluster/trace.js';
import { outcomesText, whatIf } from '../cluster/what-if.js';
import { whyOf, whyText } from '../cluster/why.js';
import { BadInput, readCatalogue } from '../directory.js';
import { durationOption } from '../options.js';
import type { Asked } from './asking.js';
import { keyOf } from '../../kube/informer.js';
import { answer, asking, placeOf, question, systemNamespaceOption, tenantAt } from './asking.js';
import { EXIT } from './shared.js';

/** What people ask of a cluster: commands that read with their user's own rights, and write nothing. */

/** 0: promised what it asks for; 3: not; 4: not, and what was promised before goes on. */
function exitFor(admitted: boolean | undefined, promised: string | undefined): number {
  if (admitted === true) return EXIT.good;
  return promised === undefined ? EXIT.notAllAdmitted : EXIT.previousPromise;
}

const POLL_MS = 250;

export function questionCommands(program: Command): void {
  question(
    program,
    'why',
    'Says why a tenant is promised what it asks for or is not, what would have to change, and who would have to leave.',
  )
    .argument('<tenant>', 'its name, or NAMESPACE/NAME')
    .option('-n, --namespace <name>', 'the tenant’s namespace; the current context’s when not given')
    .action((text: string, options: Asked & { namespace?: string }) =>
      asking(options, async (cluster) => {
        const tenant = await tenantAt(cluster, placeOf(text, options.namespace, cluster));
        const why = whyOf(tenant, await readCluster(cluster).then(snapshotOf, whereAllowed));
        answer(options, why, whyText);
        process.exitCode = exitFor(why.admitted, why.promised);
      }),
    );

  question(
    program,
    'trace',
    'Says of the last promised frames that were late what held them up: their stages’ times, their batch, what ran meanwhile.',
  )
    .argument('<tenant>', 'its name, or NAMESPACE/NAME')
    .option('-n, --namespace <name>', 'the tenant’s namespace; the current context’s when not given')
    .addOption(systemNamespaceOption())
    .action((text: string, options: Asked & { namespace?: string; systemNamespace: string[] }) =>
      asking(options, async (cluster) => {
        const tenant = await tenantAt(cluster, placeOf(text, options.namespace, cluster));
        answer(options, await traceOf(cluster, tenant, options.systemNamespace), traceText);
      }),
    );

  question(
    program,
    'wait',
    'Waits until a tenant’s newest generation is decided on: exit code 0 promised, 3 refused, 4 refused and the promise before goes on.',
  )
    .argument('<tenant>', 'its name, or NAMESPACE/NAME')
    .option('-n, --namespace <name>', 'the tenant’s namespace; the current context’s when not given')
    .addOption(durationOption('--timeout <time>', 'how long to wait', '60s'))
    .action((text: string, options: Asked & { namespace?: string; timeout: number }) =>
      asking(options, async (cluster) => {
        const untilMs = performance.now() + options.timeout / 1000;
        for (;;) {
          const why = whyOf(await tenantAt(cluster, placeOf(text, options.namespace, cluster)), undefined);
          if (why.admitted !== undefined) {
            answer(options, why, whyText);
            process.exitCode = exitFor(why.admitted, why.promised);
            return;
          }
          if (performance.now() > untilMs)
            throw new Error(`${why.tenant} is not decided on; is an operator running? (deeprt check)`);
          await delay(POLL_MS);
        }
      }),
    );

  question(
    program,
    'capacity',
    'Says how full each device is, and how many frames a second one more camera could be promised there.',
  )
    .option('--node <name>', 'of this node only')
    .action((options: Asked & { node?: string }) =>
      asking(options, async (cluster) => {
        const reading = await readCluster(cluster);
        const { node } = options;
        if (node !== undefined && !namesIn(reading).node.has(node)) throw new BadInput(`there is no node ${node}`);
        answer(options, capacityOf(reading, snapshotOf(reading), node), capacityText);
      }),
    );

  question(
    program,
    'what-if',
    'Decides as the operator would if something were otherwise, and tells who would be placed otherwise. Writes nothing.',
  )
    .option('-f, --filename <path>', 'tenants and models as they would be')
    .option('--without <tenants...>', 'tenants that would leave, as NAMESPACE/NAME')
    .option('--drain <node>', 'a node that would not be there')
    .action((options: Asked & { filename?: string; without?: string[]; drain?: string }) =>
      asking(options, async (cluster) => {
        const { filename, without, drain } = options;
        if (filename === undefined && without === undefined && drain === undefined)
          throw new BadInput('say what would be otherwise: -f, --without or --drain');
        const reading = await readCluster(cluster);
        const there = namesIn(reading);
        for (const [what, names] of [
          ['node', drain === undefined ? [] : [drain]],
          ['tenant', without ?? []],
        ] as const)
          for (const name of names) if (!there[what].has(name)) throw new BadInput(`there is no ${what} ${name}`);
        const asked = filename === undefined ? undefined : await readCatalogue(filename);
        const outcomes = whatIf(reading, { ...asked, without, drain });
        answer(options, outcomes, outcomesText);
        if (outcomes.some(({ after }) => after?.admitted === false)) process.exitCode = EXIT.notAllAdmitted;
      }),
    );

  question(program, 'top', 'Says who gets how much: frames a second, on time, in spare time, missed.').action(
    (options: Asked) => asking(options, async (cluster) => answer(options, topOf(await readCluster(cluster)), topText)),
  );

  question(
    program,
    'check',
    'Looks whether operators and agents are there and agree, and models, profiles and tenants are as they should be.',
  )
    .addOption(systemNamespaceOption())
    .option('--lease-namespace <name>', 'where the operators’ Lease is', 'kube-system')
    .action((options: Asked & { systemNamespace: string[]; leaseNamespace: string }) =>
      asking(options, async (cluster) => {
        const findings = await check(
          cluster,
          await readCluster(cluster),
          options.systemNamespace,
          options.leaseNamespace,
        );
        answer(options, findings, findingsText);
        if (findings.some(({ state }) => state === 'bad')) process.exitCode = EXIT.failed;
      }),
    );
}

const namesIn = ({ nodes, tenants }: Reading): { readonly node: Set<string>; readonly tenant: Set<string> } => ({
  node: new Set(nodes.map(({ metadata }) => metadata.name)),
  tenant: new Set(tenants.map(keyOf)),
});

/** Who sees only a namespace gets what its tenants' statuses say. */
function whereAllowed(error: unknown): undefined {
  if (!(error instanceof MayNotRead)) throw error;
}
