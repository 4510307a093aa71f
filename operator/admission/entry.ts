import type { Reason } from './reasons.js';
import type { TenantRequest } from './request.js';
import type { Answer } from './verdict.js';

/** Why a tenant lost its place in this decision. */
export interface Displacement {
  /** Undefined: the reason is why it has no other place. */
  readonly reason?: Reason;
  readonly message: string;
}

/** One request on its way through a decision. It is asked for anew where it is due or displaced; then it has a place, or is refused. */
export class Entry {
  readonly request: TenantRequest;
  #displaced: Displacement | undefined;
  #answer: Answer | undefined;

  constructor(request: TenantRequest, displaced?: Displacement) {
    this.request = request;
    this.#displaced = displaced;
  }

  get displaced(): boolean {
    return this.#displaced !== undefined;
  }

  /** Why it is not admitted; undefined while it is, or nobody has asked. */
  get answer(): Answer | undefined {
    return this.#answer;
  }

  /** Somebody more important took its place. */
  displace(by: Displacement): void {
    this.#displaced = by;
    this.#answer = undefined;
  }

  /** Whoever was driven out is told by whom; that nothing else fits, or not all of it, is the rest of the message. */
  refuse(answer: Answer): void {
    const { reason: displacedBy = answer.reason, message } = this.#displaced ?? {};
    const reason = answer.reason === 'AdmittedInPart' ? answer.reason : displacedBy;
    this.#answer = {
      ...answer,
      reason,
      message: message === undefined ? answer.message : `${message}; ${answer.message}`,
    };
  }
}
