import { fileURLToPath } from 'node:url';
import type { Profile } from '../../agent/profile/profile.js';
import { readProfile, writeProfile } from '../../agent/profile/store.js';

/** What tests have measured of this machine, kept from one to the next: most are about something else than measuring. */

/** Beside the compiled tests, forgotten whenever all tests are run. */
const KEPT = fileURLToPath(new URL('../../.figures', import.meta.url));
const NAME = 'machine-0';

/** Gives a node that is about to start what is known, as if it had started before. */
export async function lendFigures(state: string, node: string): Promise<void> {
  const known = await readProfile(KEPT, NAME);
  if (known !== undefined) await writeProfile(state, of(known, `${node}-0`, node));
}

/** Gives a node that is about to start what is known of the machine's stages; its devices, which tests have changed, are measured. */
export async function lendStages(state: string, node: string, devices = 1): Promise<void> {
  const known = await readProfile(KEPT, NAME);
  const status = known?.status && { ...known.status, models: [], categories: [] };
  for (let i = 0; status !== undefined && i < devices; i++) {
    const profile = of({ ...known!, status }, `${node}-${i}`, node);
    await writeProfile(state, { ...profile, spec: { ...profile.spec, device: i } });
  }
}

/** Keeps what a node has measured, if the machine was steady meanwhile. */
export async function keepFigures(state: string, node: string): Promise<void> {
  const measured = await readProfile(state, `${node}-0`);
  if (measured?.status?.conditions?.some(({ reason }) => reason === 'Measured') !== true) return;
  const known = (await readProfile(KEPT, NAME))?.status;
  const deviceOf = (status: Profile['status']): string => JSON.stringify({ ...status?.device, memoryBytes: 0 });
  if (known !== undefined && deviceOf(known) !== deviceOf(measured.status)) return;
  const fresh = measured.status.categories ?? [];
  const others = (known?.categories ?? []).filter(
    ({ fingerprint, shape }) =>
      !fresh.some((each) => each.fingerprint === fingerprint && String(each.shape) === String(shape)),
  );
  const status = { ...measured.status, categories: [...fresh, ...others] };
  await writeProfile(KEPT, of({ ...measured, status }, NAME, 'machine'));
}

const of = (profile: Profile, name: string, nodeName: string): Profile => ({
  ...profile,
  metadata: { ...profile.metadata, name },
  spec: { ...profile.spec, nodeName },
});
