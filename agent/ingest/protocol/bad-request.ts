/** A request that cannot be served; `status` is the HTTP status, the message is meant for its sender. */
export class BadRequest extends Error {
  readonly status: number;
  readonly code: string;
  /** Of the answer. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(message: string, status = 400, code = 'InvalidRequest', headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}
