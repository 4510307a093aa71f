import type { Misfit } from '../../sched/rounds.js';

/** Why a node takes no new tenant, whatever its devices could do. */
export type NodeRefusal =
  | { readonly reason: 'NodeNotReady' }
  | { readonly reason: 'NodeCordoned' }
  | { readonly reason: 'AgentSilent' }
  | { readonly reason: 'ProfileImplausible'; readonly message: string }
  | { readonly reason: 'NodeSelectorMismatch'; readonly label: string }
  | { readonly reason: 'TaintNotTolerated'; readonly taint: string };

/** Why a node's stages before its devices cannot take a tenant. */
export type StageRefusal =
  | {
      readonly reason: 'ReceiveExceeded';
      readonly share: number;
      readonly delayUs: number;
      /** Of the same core, where decoding has none of its own and would not be in time any more. */
      readonly decodeShare?: number;
    }
  | { readonly reason: 'DecodeExceeded'; readonly share: number; readonly frameUs: number; readonly shareUs: number };

/** Why a team's quota does not let it have more of a kind of device, in device-milliseconds a second. */
export interface QuotaRefusal {
  readonly reason: 'QuotaExceeded';
  readonly quota: string;
  /** Undefined: the device is of no flavor. */
  readonly flavor: string | undefined;
  readonly cost: number;
  readonly free: number;
  readonly nominal: number;
  /** Whether it would be within the nominal share, but others of the cohort have borrowed of it. */
  readonly lent: boolean;
}

/** Why a device cannot take a tenant, as data. */
export type Refusal =
  | NodeRefusal
  | StageRefusal
  | QuotaRefusal
  /** `measured`: the model's shapes that were, where there are any. */
  | { readonly reason: 'ProfilePending'; readonly category: string; readonly measured?: string }
  | { readonly reason: 'ModelUnavailable'; readonly model: string; readonly message: string }
  | { readonly reason: 'InsufficientMemory'; readonly neededBytes: number; readonly freeBytes: number }
  | {
      readonly reason: 'DeadlineShorterThanWCET';
      readonly category: string;
      readonly wcetUs: number;
      readonly availableUs: number;
    }
  | { readonly reason: 'UtilizationExceeded'; readonly utilization: number; readonly bottleneck: string }
  | ({ readonly reason: 'DeadlineInfeasible' } & Misfit);
