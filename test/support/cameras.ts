/** Cameras that send at a steady rate, whether or not answers come. */
export class Cameras {
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #sent = new Set<Promise<unknown>>();

  /** @param send resolves when the answer has been read */
  add(send: () => Promise<unknown>, periodMs: number): void {
    const shoot = (): void => {
      const sent = send().finally(() => this.#sent.delete(sent));
      this.#sent.add(sent);
    };
    this.#timers.push(setInterval(shoot, periodMs));
  }

  /** Sends no more; resolves when everything that was sent has been answered, so that the server may go. */
  async stop(): Promise<void> {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
    await Promise.all(this.#sent);
  }
}
