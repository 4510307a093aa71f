import type { Duplex } from 'node:stream';
import type { ServerInterceptor } from '@grpc/grpc-js';
import { ResponderBuilder, ServerInterceptingCall, ServerListenerBuilder, status } from '@grpc/grpc-js';
import { writeLimitMs } from '../answer.js';
import { LONGEST_BODY_MS } from '../odd-requests.js';
import { refusalOf } from './status.js';

/** What questions about the server and its models may take. */
const SMALL_BYTES = 64 * 1024;
/** Of gRPC before each message. */
const HEAD_BYTES = 5;

/** What is asked of a call before a byte of its message is read. */
export interface IntakeRules {
  /** What a message may take, and all that are not whole yet together. */
  readonly messageBytes: number;
  readonly heldBytes: number;
  /** Undefined: whoever it is may go on. @throws Denied when the sender of a frame may not send at all */
  admit(call: { readonly peer: string; readonly authorization: string | undefined }): Promise<void> | undefined;
  /** A connection is in use until what is returned is called. */
  use(peer: string): () => void;
}

/** The part of an HTTP/2 stream that the library keeps to itself. */
type Stream = Duplex & { close?: (code: number) => void };
/** RFC 9113, 7. */
const ENHANCE_YOUR_CALM = 0xb;

/**
 * Guards messages on their way in and answers on their way out: the library itself holds every message as a whole before anybody is
 * asked, for as long as it takes.
 */
export function intake(rules: IntakeRules): ServerInterceptor {
  let held = 0;
  return (method, call) => {
    const { stream } = call as unknown as { readonly stream?: Stream };
    const isFrame = /\/Model(Stream)?Infer$/.test(method.path);
    const free = stream === undefined ? () => undefined : rules.use(call.getPeer());
    const most = isFrame ? rules.messageBytes : SMALL_BYTES;
    let own = 0;
    let isRefused = false;
    let timer: NodeJS.Timeout | undefined;
    const release = (): void => {
      held -= own;
      own = 0;
      clearTimeout(timer);
    };
    const refuse = (code: status, details: string): void => {
      release();
      isRefused = true;
      // Nothing of it is to be decoded any more.
      stream?.removeAllListeners('data').resume();
      call.sendStatus({ code, details, metadata: null });
      // What the library holds of the message goes with the stream.
      setImmediate(() => stream?.close?.(ENHANCE_YOUR_CALM));
    };
    stream?.on('data', (chunk: Buffer) => {
      if (isRefused) return;
      own += chunk.length;
      held += chunk.length;
      if (own > most + HEAD_BYTES)
        refuse(status.RESOURCE_EXHAUSTED, `a message of this method must have at most ${most} bytes`);
      else if (held > rules.heldBytes && own > SMALL_BYTES)
        refuse(
          status.RESOURCE_EXHAUSTED,
          'the frames that are on their way take all the memory that there is for them',
        );
    });
    stream?.once('close', () => {
      release();
      free();
    });
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        // The library would inflate messages before anybody is asked how large they may be.
        const { incomingEncoding = 'identity' } = call as unknown as { readonly incomingEncoding?: string };
        if (incomingEncoding !== 'identity')
          return refuse(status.UNIMPLEMENTED, 'compressed messages are not taken over gRPC; send them as they are');
        const [authorization] = metadata.get('authorization');
        const asked = isFrame
          ? rules.admit({ peer: call.getPeer(), authorization: authorization?.toString() })
          : undefined;
        if (!method.requestStream)
          timer = setTimeout(
            () => refuse(status.DEADLINE_EXCEEDED, `the message was not here within ${LONGEST_BODY_MS / 1000}s`),
            LONGEST_BODY_MS,
          ).unref();
        if (asked === undefined) return next(metadata);
        asked.then(
          () => next(metadata),
          (error: unknown) => {
            release();
            isRefused = true;
            call.sendStatus(refusalOf(error));
          },
        );
      })
      .withOnReceiveMessage((message, next) => {
        release();
        next(message);
      })
      .build();
    const responder = new ResponderBuilder()
      .withStart((next) => next(listener))
      .withSendMessage((message, next) => {
        next(message);
        const left = stream?.writableLength ?? 0;
        if (method.responseStream || left === 0) return;
        clearTimeout(timer);
        timer = setTimeout(() => stream?.close?.(ENHANCE_YOUR_CALM), writeLimitMs(left)).unref();
      })
      .build();
    return new ServerInterceptingCall(call, responder);
  };
}
