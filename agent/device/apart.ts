/**
 * A frame that makes a network fail takes the batch down that it is in. The others of the batch are run again one by one,
 * in spare time, and so are all frames of a tenant whose frames have failed repeatedly. For the batcher these are
 * categories of their own, without promises, whose largest batch is one frame.
 */
const APART = '/apart';

/** The category whose frames run one by one. */
export const apart = (category: string): string => (isApart(category) ? category : `${category}${APART}`);

export const isApart = (category: string): boolean => category.endsWith(APART);

/** The category as it was programmed. */
export const shared = (category: string): string => (isApart(category) ? category.slice(0, -APART.length) : category);
