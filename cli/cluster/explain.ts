import { REASONS } from '../../operator/admission/reasons.js';

const PLAIN: Readonly<Record<string, { readonly meaning: string; readonly remedy: string }>> = REASONS;

/** What a reason of the Admitted condition means, and what helps; undefined: there is none of that name. */
export function explainReason(reason: string): string | undefined {
  const facts = Object.hasOwn(PLAIN, reason) ? PLAIN[reason] : undefined;
  return facts === undefined ? undefined : `${reason}: ${facts.meaning}.\nWhat helps: ${facts.remedy}.`;
}

/** All of them. */
export const knownReasons = (): string[] => Object.keys(PLAIN);
