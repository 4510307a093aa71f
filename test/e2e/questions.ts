import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NODE, kubeconfig, kubectl, kubectlJson, tools, until, work } from './node.js';

const DEEPRT = fileURLToPath(new URL('../../../bin/deeprt', import.meta.url));

/** `kubectl deeprt` as people have it: the real kubectl finds the plugin in the PATH. */

const plugins = join(work, 'plugins');

function ask(...args: string[]): { readonly code: number | null; readonly text: string } {
  const { status, stdout, stderr } = spawnSync(
    join(tools, 'kubectl'),
    ['deeprt', ...args, '--kubeconfig', kubeconfig],
    {
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: '', PATH: `${plugins}:${process.env['PATH'] ?? ''}` },
    },
  );
  return { code: status, text: stdout + stderr };
}
const json = <T>(...args: string[]): T => JSON.parse(ask(...args, '-o', 'json').text) as T;

interface Schedule {
  readonly spec: { readonly promised?: string };
  readonly status?: { readonly tenants?: { readonly name: string; readonly misses?: number }[] };
}

/** A team's share, and that what it is told adds up. */
export async function shareOut(say: (text: string) => void): Promise<void> {
  const head = { apiVersion: 'deeprt.dev/v1alpha1' };
  const objects = [
    { ...head, kind: 'DeviceFlavor', metadata: { name: 'any' }, spec: {} },
    {
      ...head,
      kind: 'TenantQuota',
      metadata: { name: 'everybody' },
      spec: {
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'default' } },
        flavors: [{ name: 'any', nominalQuota: 5000 }],
      },
    },
  ];
  const file = join(work, 'quota.json');
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
  kubectl('apply', '-f', file);
  interface Share {
    readonly items: readonly { readonly status: { readonly usedHere: number } }[];
  }
  interface Tenants {
    readonly items: readonly { readonly status?: { readonly charged?: number } }[];
  }
  await until('the share to be what tenants are charged', () => {
    const [share] = kubectlJson<Share>('get', 'tenantshares').items;
    const charged = kubectlJson<Tenants>('get', 'itn').items.map(({ status }) => status?.charged ?? 0);
    const sum = charged.reduce((a, b) => a + b, 0);
    return sum > 0 && share !== undefined && Math.abs(share.status.usedHere - sum) < 0.05 * charged.length + 0.1;
  });
  say(kubectl('get', 'tenantquotas'));
  say(kubectl('get', 'tenantshares'));
}

/** Asks everything, and holds the answers against what the API says. */
export function askQuestions(say: (text: string) => void): void {
  mkdirSync(plugins, { recursive: true });
  symlinkSync(DEEPRT, join(plugins, 'kubectl-deeprt'));
  const told = (code: number, ...args: string[]): string => {
    const { code: found, text } = ask(...args);
    say(`$ kubectl deeprt ${args.join(' ')}\n${text}`);
    assert.equal(found, code, text);
    return text;
  };
  assert.match(told(3, 'why', 'greedy'), /UtilizationExceeded[^]*What helps:/);
  assert.match(told(0, 'why', 'gate'), /^default\/gate is promised /);
  told(0, 'capacity');
  const schedule = kubectlJson<Schedule>('get', 'nodeschedule', NODE);
  const [device] = json<{ promised: number; state: string }[]>('capacity');
  assert.ok(Math.abs(device!.promised - Number(schedule.spec.promised)) < 0.01);
  assert.equal(device!.state, 'Ready');
  told(0, 'top');
  const top = json<{ tenant: string; misses: number }[]>('top').map(({ tenant }) => tenant);
  for (const { name } of schedule.status?.tenants ?? []) assert.ok(top.includes(`default/${name}`));
  assert.match(told(3, 'what-if', '--drain', NODE), /default\/gate/);
  told(0, 'wait', 'gate');
  told(0, 'trace', 'gate');
  const findings = json<{ what: string; state: string; detail: string }[]>('check');
  say(findings.map(({ what, state, detail }) => `${what}: ${state}, ${detail}`).join('\n'));
  assert.deepEqual(
    findings.filter(({ state }) => state !== 'good'),
    [],
  );
}

/** What held up the late frames of a tenant, by `kubectl deeprt trace`. */
export const traceCauses = (tenant: string): string[] => [
  ...new Set(json<{ cause: string }[]>('trace', tenant).map(({ cause }) => cause)),
];
