import { wallSeconds } from '../../kube/clock.js';
import type { Cluster } from '../../kube/cluster.js';
import { reasonOf } from '../../kube/cluster.js';
import type { Lease } from '../../kube/leader.js';
import { LEASES } from '../../kube/leader.js';
import { Objects } from '../../kube/objects.js';
import { VERSION } from '../../api/version.js';
import { table } from '../table.js';
import type { Pod } from './pods.js';
import { isAgent, isOperator, podsIn } from './pods.js';
import type { Reading } from './reading.js';
import { SILENT_AFTER_S, reportAgeS } from './reading.js';

/** One thing that was looked at. */
export interface Finding {
  readonly what: string;
  readonly state: 'good' | 'bad' | 'unknown';
  readonly detail: string;
}

const CLOCKS_APART_S = 5;

const verdict = (what: string, bad: readonly string[], good: string): Finding => ({
  what,
  state: bad.length === 0 ? 'good' : 'bad',
  detail: bad.length === 0 ? good : bad.join('; '),
});

/** Whether all parts are there and agree. */
export async function check(
  cluster: Cluster,
  reading: Reading,
  namespaces: readonly string[],
  leaseNamespace: string,
): Promise<Finding[]> {
  return [
    ...(await checkPods(cluster, reading, namespaces)),
    await attempt('leader', () => checkLeader(cluster, leaseNamespace)),
    ...checkReading(reading),
  ];
}

/** What of the parts cannot be seen is told as that. */
async function attempt(what: string, act: () => Promise<Finding>): Promise<Finding> {
  try {
    return await act();
  } catch (error) {
    return { what, state: 'unknown', detail: reasonOf(error) };
  }
}

async function checkPods(cluster: Cluster, { nodes }: Reading, namespaces: readonly string[]): Promise<Finding[]> {
  let pods: Pod[];
  try {
    pods = await podsIn(cluster, namespaces);
  } catch (error) {
    return [{ what: 'pods', state: 'unknown', detail: reasonOf(error) }];
  }
  const notReady = (all: readonly Pod[]): string[] =>
    all
      .filter(({ status }) => status?.conditions?.find(({ type }) => type === 'Ready')?.status !== 'True')
      .map(({ metadata }) => `${metadata.name} is not ready`);
  const versions = [
    ...new Set(pods.map(({ metadata }) => metadata.labels?.['app.kubernetes.io/version'] ?? 'unknown')),
  ];
  const [operators, agents] = [pods.filter(isOperator), pods.filter(isAgent)];
  const none = (all: readonly Pod[], what: string): string[] =>
    all.length === 0 ? [`there is no ${what} in ${namespaces.join(', ')} (--system-namespace)`] : notReady(all);
  return [
    verdict('operators', none(operators, 'operator'), `${operators.length} ready`),
    verdict('agents', none(agents, 'agent'), `${agents.length} ready, of ${nodes.length} nodes`),
    verdict(
      'versions',
      versions.some((version) => version !== VERSION)
        ? [`this is ${VERSION}, the cluster runs ${versions.join(' and ')}`]
        : [],
      VERSION,
    ),
  ];
}

async function checkLeader(cluster: Cluster, namespace: string): Promise<Finding> {
  const lease = await new Objects<Lease>(cluster, LEASES).get('deeprt-operator', namespace);
  const { holderIdentity = '', renewTime, leaseDurationSeconds = 15 } = lease?.spec ?? {};
  if (holderIdentity === '' || renewTime === undefined)
    return { what: 'leader', state: 'bad', detail: `nobody holds the Lease ${namespace}/deeprt-operator` };
  const ageS = wallSeconds() - Date.parse(renewTime) / 1000;
  const stale = ageS > leaseDurationSeconds ? [`${holderIdentity} has not renewed for ${ageS.toFixed(0)}s`] : [];
  return verdict('leader', stale, holderIdentity);
}

function checkReading({ tenants, models, profiles, schedules }: Reading): Finding[] {
  const silent = schedules.flatMap((schedule) => {
    const { nodeName } = schedule.spec;
    const ageS = reportAgeS(schedule);
    if (ageS === undefined) return [`the agent of ${nodeName} never reported`];
    return ageS > SILENT_AFTER_S ? [`the agent of ${nodeName} reported ${ageS.toFixed(0)}s ago`] : [];
  });
  const ahead = schedules.flatMap(({ spec, status }) => {
    const s = Date.parse(status?.reportedAt ?? '') / 1000 - wallSeconds();
    return s > CLOCKS_APART_S ? [`the clock of ${spec.nodeName} is ${s.toFixed(0)}s ahead of this machine's`] : [];
  });
  const measured = new Set(profiles.map(({ spec }) => spec.nodeName));
  const unmeasured = schedules
    .filter(({ spec }) => !measured.has(spec.nodeName))
    .map(({ spec }) => `${spec.nodeName} has no profile`);
  const stale = profiles.flatMap(({ metadata, status }) => {
    const profiled = status?.conditions?.find(({ type }) => type === 'Profiled');
    return profiled?.status === 'True' ? [] : [`${metadata.name}: ${profiled?.message ?? 'not measured yet'}`];
  });
  const unavailable = models.flatMap(({ metadata, status }) => {
    const available = status?.conditions?.find(({ type }) => type === 'Available');
    return available?.status === 'True' ? [] : [`${metadata.name}: ${available?.message ?? 'no agent has it yet'}`];
  });
  const notReady = tenants.flatMap(({ metadata, status }) => {
    const found = status?.conditions?.find(({ type, status: value }) => type === 'Ready' && value !== 'True');
    const admitted = status?.conditions?.find(({ type }) => type === 'Admitted')?.status === 'True';
    return found === undefined || !admitted ? [] : [`${metadata.namespace ?? ''}/${metadata.name}: ${found.reason}`];
  });
  return [
    verdict('reports', silent, `${schedules.length} agents report`),
    verdict('clocks', ahead, 'no node is ahead'),
    verdict('profiles', [...unmeasured, ...stale], `${profiles.length} devices are measured`),
    verdict('models', unavailable, `${models.length} available`),
    verdict('tenants', notReady, `all that are admitted are served`),
  ];
}

export const findingsText = (findings: readonly Finding[]): string =>
  table(
    ['WHAT', 'STATE', 'DETAIL'],
    findings.map(({ what, state, detail }) => [what, state, detail]),
  );
