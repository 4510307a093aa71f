/** A node whose record is to be written: tenants that come to it and tenants that go. */
export interface Change {
  readonly node: string;
  readonly gains: ReadonlySet<string>;
  readonly losses: ReadonlySet<string>;
}

/**
 * Groups of nodes to be written one after the other, each group at once, such that a tenant that moves is recorded at its new node
 * before it is struck from its old one: a crash in between leaves it with two places, never with none. Where moves go in
 * a circle, the circle is cut anywhere.
 */
export function writeOrder(changes: readonly Change[]): string[][] {
  const groups: string[][] = [];
  let left = [...changes];
  while (left.length > 0) {
    const awaited = (change: Change): boolean =>
      [...change.losses].some((key) => left.some((other) => other !== change && other.gains.has(key)));
    const free = left.filter((change) => !awaited(change));
    const group = free.length > 0 ? free : left.slice(0, 1);
    groups.push(group.map(({ node }) => node));
    left = left.filter((change) => !group.includes(change));
  }
  return groups;
}
