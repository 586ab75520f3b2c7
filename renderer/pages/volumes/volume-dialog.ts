export interface VolumeDialog {
  kind: 'create' | 'clone' | 'export' | 'import' | 'prune';
  name: string;
}
