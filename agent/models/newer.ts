import type { ResourceOf } from '../../api/manifests.js';
import type { ModelFile } from './residents.js';

type Profile = ResourceOf<'GPUProfile'>;

/** A newer version of a model that is served is loaded and measured beside it, under another name. */
const BESIDE = '#newer';

export const besideName = (name: string): string => `${name}${BESIDE}`;
export const isBeside = (name: string): boolean => name.endsWith(BESIDE);
export const ownName = (name: string): string => (isBeside(name) ? name.slice(0, -BESIDE.length) : name);

export const beside = (file: ModelFile): ModelFile => ({
  ...file,
  model: { ...file.model, metadata: { ...file.model.metadata, name: besideName(file.model.metadata.name) } },
});

/** The profile in which what was measured of newer versions has taken the place of what was known of those before. */
export function withNewer(profile: Profile): Profile {
  const { categories = [], models = [] } = profile.status ?? {};
  const newer = new Set(categories.filter(({ model }) => isBeside(model)).map(({ model }) => ownName(model)));
  const stays = (name: string): boolean => !newer.has(name);
  return {
    ...profile,
    status: {
      ...profile.status,
      categories: [
        ...categories.filter(({ model }) => stays(model) && !isBeside(model)),
        ...categories.filter(({ model }) => isBeside(model)).map((each) => ({ ...each, model: ownName(each.model) })),
      ],
      models: [
        ...models.filter(({ name }) => stays(name) && !isBeside(name)),
        ...models
          .filter(({ name }) => isBeside(name) && newer.has(ownName(name)))
          .map((each) => ({ ...each, name: ownName(each.name) })),
      ],
    },
  };
}
