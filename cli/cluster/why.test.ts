import { expect, test } from '@jest/globals';
import { decide } from '../../operator/admission/decide.js';
import type { TenantObject } from '../../operator/objects.js';
import { one, snapshot, tenant } from '../../test/support/admission.js';
import { whyOf } from './why.js';

test('an offer is only shown as a patch while it would still be admitted', () => {
  const asked = tenant('late', { streams: 300, framesPerSecond: 30, deadline: '100ms' });
  const refused = {
    ...asked,
    metadata: { ...asked.metadata, generation: 1 },
    status: {
      observedGeneration: 1,
      conditions: [{ type: 'Admitted', status: 'False', reason: 'UtilizationExceeded', message: 'full' }],
      offer: { streams: 8 },
    },
  } as unknown as TenantObject;
  const patchesBeside = (streams: number): readonly string[] => {
    const tenants = [tenant('early', { streams, framesPerSecond: 30, deadline: '100ms' }), asked];
    const { plans, verdicts } = decide(snapshot(tenants, { devices: [one] }));
    expect(verdicts.map(({ admitted }) => admitted)).toEqual([true, false]);
    return whyOf(refused, snapshot(tenants, { devices: [one], promised: plans })).patches;
  };
  expect(patchesBeside(2)).toEqual([`kubectl patch itn late -n default --type merge -p '{"spec":{"streams":8}}'`]);
  expect(patchesBeside(24)).toEqual([]);
});
