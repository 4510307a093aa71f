import { Option } from 'commander';
import { Cluster } from '../../kube/cluster.js';
import { BadInput } from '../directory.js';
import { durationOption } from '../options.js';

/** What the commands share that take part in a Kubernetes cluster. */

export const kubeconfigOption = (): Option =>
  new Option(
    '--kubeconfig <file>',
    'how to reach the API server; without it the pod’s service account, $KUBECONFIG or ~/.kube/config',
  );

export const reportPeriodOption = (): Option =>
  durationOption(
    '--report-period <time>',
    'how often an agent reports at least; the same for operators and agents',
    '30s',
  );

/** @throws BadInput when there is no usable kubeconfig */
export function connect(kubeconfig: string | undefined, writer: string): Cluster {
  try {
    return Cluster.load(kubeconfig, writer);
  } catch (error) {
    throw new BadInput(`no API server to talk to: ${(error as Error).message}`);
  }
}
