import type { Message } from './onnx-head.js';
import { messagesIn, textIn } from './onnx-head.js';

/** Domains of operators that ONNX Runtime has. */
const DOMAINS: ReadonlySet<string> = new Set([
  ...['', 'ai.onnx', 'ai.onnx.ml', 'ai.onnx.training', 'ai.onnx.preview.training'],
  ...['com.microsoft', 'com.microsoft.nchwc', 'com.ms.internal.nhwc', 'com.microsoft.experimental'],
]);

/** Names an operator that only another runtime has; undefined where there is none. */
export function objectionToOperators(head: Message): string | undefined {
  const own = new Set(messagesIn(head, 'function').map((each) => textIn(each, 'domain')));
  const foreign = (message: Message): string | undefined => {
    for (const node of messagesIn(message, 'node')) {
      const domain = textIn(node, 'domain');
      if (!DOMAINS.has(domain) && !own.has(domain)) return `${domain}.${textIn(node, 'operator')}`;
      for (const attribute of messagesIn(node, 'attribute'))
        for (const graph of messagesIn(attribute, 'graph')) {
          const inner = foreign(graph);
          if (inner !== undefined) return inner;
        }
    }
    return undefined;
  };
  const name = messagesIn(head, 'graph')
    .map(foreign)
    .find((each) => each !== undefined);
  return name === undefined
    ? undefined
    : `it uses the operator ${name}, which ONNX Runtime does not have; export it with operators of the ONNX standard alone (with NonMaxSuppression for what plugins do, for instance)`;
}
