import type { ContainerLink } from './images.ts';

export interface VolumeRow {
  name: string;
  driver: string;
  /** undefined when the driver does not tell */
  sizeBytes: number | undefined;
  createdAt: number;
  labels: Record<string, string>;
  options: Record<string, string>;
  /** its name was made up by the engine */
  anonymous: boolean;
  usedBy: ContainerLink[];
}

export interface VolumeEntry {
  name: string;
  kind: 'file' | 'folder' | 'link' | 'other';
  sizeBytes: number;
  modifiedAt: number;
  mode: number;
  /** of a link */
  target: string;
}

export interface VolumeFolder {
  /** '' is the volume itself */
  path: string;
  entries: VolumeEntry[];
  /** there is more in it than was read */
  partial: boolean;
}

export interface VolumeFile {
  path: string;
  sizeBytes: number;
  /** undefined when it is no text, or too long to be shown */
  text: string | undefined;
}

export interface VolumesContract {
  list(): Promise<VolumeRow[]>;
  create(wanted: { name: string; driver: string; labels: Record<string, string> }): Promise<string>;
  remove(name: string): Promise<void>;
  /** anonymous ones, or all that no container uses; answers with what went */
  prune(options: { all: boolean }): Promise<{ names: string[]; freedBytes: number }>;
  clone(from: string, to: string): Promise<string>;
  exportTo(name: string, path: string): Promise<string>;
  /** into a volume that is made when it does not exist */
  importFrom(name: string, path: string): Promise<string>;
  folder(name: string, path: string): Promise<VolumeFolder>;
  readFile(name: string, path: string): Promise<VolumeFile>;
  writeFile(name: string, path: string, text: string): Promise<void>;
}
