/**
 * `make api-server`: a real kube-apiserver over a real etcd on loopback, with the CRDs and one Node, to try the operator
 * and an agent on without a cluster. Ends with Ctrl-C, and everything in it with it.
 */
import { TestCluster } from '../test/support/cluster.js';

const cluster = await TestCluster.start();
await cluster.node('edge-1');
process.stdout.write(`export KUBECONFIG=${cluster.api.kubeconfig}\n`);
process.stderr.write('a Node edge-1 is there, and the CustomResourceDefinitions; Ctrl-C ends it all\n');
const alive = setInterval(() => undefined, 1 << 30);
const end = (): void => {
  clearInterval(alive);
  void cluster.stop();
};
process.once('SIGINT', end);
process.once('SIGTERM', end);
