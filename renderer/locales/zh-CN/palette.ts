import type { Words } from '../en.ts';

export const palette: Words['palette'] = {
  title: '命令面板',
  placeholder: '查找页面、容器、镜像和操作…',
  pages: '页面',
  containers: '容器',
  images: '镜像',
  actions: '操作',
  empty: '没有结果',
};
