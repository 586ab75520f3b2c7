import type { ImageRow } from './engine.ts';

export interface ImageLayer {
  /** the instruction as the image's history tells it */
  command: string;
  sizeBytes: number;
  createdAt: number;
  comment: string;
}

/** What a container needs to be named and linked to. */
export interface ContainerLink {
  id: string;
  name: string;
  status: string;
}

export interface ImageDetail extends ImageRow {
  digests: string[];
  os: string;
  architecture: string;
  author: string;
  /** newest last, as they lie above each other */
  layers: ImageLayer[];
  /** Docker's `Config`, for the page to show as it is */
  config: Record<string, unknown>;
  usedBy: ContainerLink[];
}

/** Long work answers with the id of its task. */
export interface ImagesContract {
  list(): Promise<ImageRow[]>;
  detail(id: string): Promise<ImageDetail>;
  remove(id: string, options: { force: boolean }): Promise<void>;
  /** `reference` is `repository[:tag]` */
  tag(id: string, reference: string): Promise<void>;
  pull(reference: string, options: { platform: string }): Promise<string>;
  push(reference: string): Promise<string>;
  /** writes a `docker save` archive to a new file of this computer */
  save(references: string[], path: string): Promise<string>;
  load(path: string): Promise<string>;
  /** dangling images only, or all that no container uses */
  prune(options: { all: boolean }): Promise<string>;
}
