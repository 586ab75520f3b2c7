export interface ImageDialog {
  kind: 'tag' | 'save' | 'load' | 'push';
  references: string[];
}
