import type { ImageRow } from '../../../electron/contract/engine.ts';
import { shortId } from '../../format.ts';

/** One line of the list: a name of an image, or an image without one. */
export interface ImageLine {
  key: string;
  image: ImageRow;
  tag: string;
  used: boolean;
}

/** `all`, or only those that …  */
export type ImageFilter = 'all' | 'used' | 'unused' | 'dangling';

export function imageLines(
  images: readonly ImageRow[],
  used: Set<string>,
  search: string,
  filter: ImageFilter,
): ImageLine[] {
  const wanted = search.toLowerCase();
  return images
    .flatMap((image) => {
      const tags = image.tags.length > 0 ? image.tags : [''];
      return tags.map((tag) => ({ image, tag, key: `${image.id} ${tag}`, used: used.has(image.id) }));
    })
    .filter(({ image, tag }) => tag.toLowerCase().includes(wanted) || image.id.includes(wanted))
    .filter((line) => {
      if (filter === 'dangling') return !line.tag;
      return filter === 'all' || line.used === (filter === 'used');
    });
}

/** What a prune would take: images without a name, or all that no container uses; the engine keeps what has both. */
export function pruned(images: readonly ImageRow[], used: Set<string>, all: boolean): ImageRow[] {
  return images.filter((image) => !used.has(image.id) && (all || image.tags.length === 0));
}

export const imageName = (image: ImageRow): string => image.tags[0] ?? shortId(image.id);
