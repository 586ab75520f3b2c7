import type { LayerBlob } from '../../store/blobs.ts';
import type { PluginConfig } from './config.ts';
import type { PluginSettings } from './settings.ts';

/** A plugin as an image: what a push sends again, byte for byte. */
export interface PluginImage {
  /** The configuration as it came. */
  readonly configText: string;
  readonly config: PluginConfig;
  readonly manifest: { readonly content: string; readonly mediaType: string };
  /** Base first. */
  readonly layers: readonly LayerBlob[];
}

/** What is kept of a plugin. Its root is a snapshot by its id, which keeps its layers. */
export interface PluginRecord extends PluginImage {
  readonly id: string;
  /** `vieux/sshfs:latest` */
  readonly name: string;
  /** Where it came from: `docker.io/vieux/sshfs:latest`. */
  readonly reference: string;
  /** Whether it is to run. */
  readonly enabled: boolean;
  /** Seconds that one of its answers may take; 0: the usual. */
  readonly timeout: number;
  readonly settings: PluginSettings;
}

/** swagger: Plugin */
export const pluginView = (record: PluginRecord, running: boolean): object => ({
  Config: record.config,
  Enabled: running,
  Id: record.id,
  Name: record.name,
  PluginReference: record.reference,
  Settings: record.settings,
});
