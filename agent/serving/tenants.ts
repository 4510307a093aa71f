import { tenantPath } from '../../api/names.js';
import type { TenantTerms } from './tenant.js';
import { ServedTenant } from './tenant.js';

/** Tenants that have left and whose books are kept: they may come back. */
const MOST_FORMER = 32;

/** A device's tenants, by `<namespace>.<name>`, and those that left last. */
export class Tenants {
  readonly #served = new Map<string, ServedTenant>();
  readonly #former = new Map<string, ServedTenant>();

  served(): ServedTenant[] {
    return [...this.#served.values()];
  }

  servedOrLeft(): ServedTenant[] {
    return [...this.#served.values(), ...this.#former.values()];
  }

  at(path: string): ServedTenant | undefined {
    return this.#served.get(path);
  }

  has(tenant: ServedTenant): boolean {
    return this.#served.get(tenantPath(tenant.terms)) === tenant;
  }

  /** Those that are not among these leave. */
  keepOnly(stays: ReadonlyMap<string, unknown>, left: (path: string, terms: TenantTerms) => void): void {
    for (const [path, tenant] of this.#served) {
      if (stays.has(path)) continue;
      this.#served.delete(path);
      this.#former.set(path, tenant);
      for (const oldest of this.#former.keys()) if (this.#former.size > MOST_FORMER) this.#former.delete(oldest);
      left(path, tenant.terms);
    }
  }

  /** These are served from now on, whoever was here before with the same books. */
  serve(all: ReadonlyMap<string, TenantTerms>): void {
    for (const [path, terms] of all) {
      const known = this.#served.get(path) ?? this.#former.get(path);
      this.#former.delete(path);
      known?.change(terms);
      this.#served.set(path, known ?? new ServedTenant(terms));
    }
  }
}
