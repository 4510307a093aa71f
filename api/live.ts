/** What the live pages are told, as server-sent events. Times are microseconds of the node's monotonic clock. */

/** A run of a device: category, whether by its turn, frames, promised ones among them, start, duration, WCET. */
export type LiveRun = readonly [
  category: string,
  kind: 'visit' | 'eager',
  frames: number,
  promised: number,
  startUs: number,
  us: number,
  wcetUs: number,
];

/** Event `runs`: what has run since the event before; the last seconds at first. */
export interface LiveRuns {
  readonly nowUs: number;
  readonly devices: readonly { readonly device: number; readonly runs: readonly LiveRun[] }[];
}

export interface LiveDevice {
  readonly device: number;
  /** Why it serves nobody; absent where it does. */
  readonly failure?: string;
  /** Shares that are promised to frames: of the device, of the event loop, of the decode workers. */
  readonly promised: { readonly device: number; readonly receive: number; readonly decode: number };
  /** Time spent on runs since the start. */
  readonly busyUs: number;
  readonly runs: number;
  readonly overruns: number;
}

/** A tenant on a node; counts are since the agent started. */
export interface LiveTenant {
  readonly tenant: string;
  readonly category: string;
  readonly devices: readonly number[];
  /** Frames a second that were promised; 0: none. */
  readonly promisedPerSecond: number;
  /** Absent: none. */
  readonly deadlineUs?: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly promisedFrames: number;
  readonly spareFrames: number;
  /** Promised frames answered late, or given up. */
  readonly misses: number;
  /** Latency of answered frames. */
  readonly p50Us: number;
  readonly p99Us: number;
  /** Frames that were not answered, by the code that their senders were told. */
  readonly refusals: Readonly<Record<string, number>>;
}

/** A promised frame that missed its deadline. */
export interface LiveLate {
  readonly tenant: string;
  readonly atUs: number;
  readonly at: string;
  readonly cause: string;
  readonly latencyUs: number;
  readonly deadlineUs: number;
  readonly code?: string;
}

/** Event `node`: how a node stands. */
export interface LiveNode {
  readonly nowUs: number;
  readonly version: string;
  readonly ready: boolean;
  readonly devices: readonly LiveDevice[];
  readonly tenants: readonly LiveTenant[];
  /** The newest first. */
  readonly late: readonly LiveLate[];
}

export interface LiveClusterDevice {
  readonly node: string;
  readonly device: number;
  /** Of the node: Ready, NotReady, Lost, ... or Silent. */
  readonly state: string;
  readonly failure?: string;
  /** Share of the device that is promised. */
  readonly promised: number;
  readonly tenants: number;
  readonly inSpareTime: number;
  readonly models: readonly string[];
  /** Seconds since its agent reported; absent: it never did. */
  readonly reportAgeS?: number;
}

/** What a team (TenantQuota) has of a kind of device, in device-milliseconds a second. */
export interface LiveShare {
  readonly quota: string;
  readonly flavor: string;
  readonly nominal: number;
  readonly used: number;
  readonly borrowed: number;
  /** Of the whole team: tenants that are not promised what they ask for. */
  readonly pendingTenants: number;
}

/** A change of what a tenant was answered. */
export interface LiveDecision {
  /** RFC 3339. */
  readonly at: string;
  readonly tenant: string;
  readonly admitted: boolean;
  readonly reason: string;
  readonly message: string;
}

/** Event `cluster`: how the cluster stands, as its leading operator sees it. */
export interface LiveCluster {
  readonly version: string;
  /** Whether this operator decides; the others know no answers. */
  readonly leading: boolean;
  readonly devices: readonly LiveClusterDevice[];
  readonly shares: readonly LiveShare[];
  /** Tenants by the reason of their answer. */
  readonly reasons: Readonly<Record<string, number>>;
  /** The newest first. */
  readonly decisions: readonly LiveDecision[];
}
