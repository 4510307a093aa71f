import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Cluster } from '../../kube/cluster.js';
import { TENANTS } from '../../kube/kinds.js';
import { Objects } from '../../kube/objects.js';
import type { TenantObject } from '../../operator/objects.js';
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
import { connect, kubeconfigOption } from './cluster.js';
import { EXIT, outputOption, print } from './shared.js';

/** What people ask of a cluster: commands that read with their user's own rights, and write nothing. */

interface Asked {
  readonly kubeconfig?: string;
  readonly output: 'table' | 'json';
}

const POLL_MS = 250;

function question(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .addOption(kubeconfigOption())
    .addOption(outputOption('-o, --output <form>'));
}

/** Prints an answer as it is asked for. */
function answer<T>({ output }: Asked, value: T, text: (value: T) => string): void {
  print(output === 'json' ? JSON.stringify(value, null, 2) : text(value));
}

async function asking<T>({ kubeconfig }: Asked, ask: (cluster: Cluster) => Promise<T>): Promise<T> {
  const cluster = connect(kubeconfig, 'deeprt-cli');
  try {
    return await ask(cluster);
  } finally {
    await cluster.close();
  }
}

/** `NAMESPACE/NAME`, or a name in the namespace that was given or is current. */
function keyOf(text: string, namespace: string | undefined, cluster: Cluster): { namespace: string; name: string } {
  const [own, name] = text.includes('/') ? (text.split('/', 2) as [string, string]) : [undefined, text];
  return { namespace: own ?? namespace ?? cluster.namespace ?? 'default', name };
}

async function tenantAt(
  cluster: Cluster,
  { namespace, name }: { namespace: string; name: string },
): Promise<TenantObject> {
  const found = await new Objects<TenantObject>(cluster, TENANTS).get(name, namespace);
  if (found === undefined)
    throw new BadInput(`there is no InferenceTenant ${namespace}/${name}; kubectl get itn -A lists them`);
  return found;
}

/** 0: promised what it asks for; 3: not; 4: not, and what was promised before goes on. */
function exitFor(admitted: boolean | undefined, promised: string | undefined): number {
  if (admitted === true) return EXIT.good;
  return promised === undefined ? EXIT.notAllAdmitted : EXIT.previousPromise;
}

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
        const tenant = await tenantAt(cluster, keyOf(text, options.namespace, cluster));
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
    .option('--system-namespace <name>', 'where agents run', 'deeprt-system')
    .action((text: string, options: Asked & { namespace?: string; systemNamespace: string }) =>
      asking(options, async (cluster) => {
        const tenant = await tenantAt(cluster, keyOf(text, options.namespace, cluster));
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
          const why = whyOf(await tenantAt(cluster, keyOf(text, options.namespace, cluster)), undefined);
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
        answer(options, capacityOf(reading, snapshotOf(reading), options.node), capacityText);
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
        const { tenants, models } =
          filename === undefined ? { tenants: [], models: new Map() } : await readCatalogue(filename);
        const outcomes = whatIf(snapshotOf(reading), {
          tenants,
          models,
          without: without ?? [],
          ...(drain === undefined ? {} : { drain }),
        });
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
    .option('--system-namespace <name>', 'where operators and agents run', 'deeprt-system')
    .option('--lease-namespace <name>', 'where the operators’ Lease is', 'kube-system')
    .action((options: Asked & { systemNamespace: string; leaseNamespace: string }) =>
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
  tenant: new Set(tenants.map(({ metadata }) => `${metadata.namespace ?? ''}/${metadata.name}`)),
});

/** Who sees only a namespace gets what its tenants' statuses say. */
function whereAllowed(error: unknown): undefined {
  if (!(error instanceof MayNotRead)) throw error;
}
