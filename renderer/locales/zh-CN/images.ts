import type { Words } from '../en.ts';

export const images: Words['images'] = {
  title: '镜像',
  filter: '按名称或 ID 筛选',
  emptyTitle: '还没有镜像',
  emptyText: '在终端中拉取一个，它会立即出现在这里。',
  dangling: '无名称',
  inUse: '使用中',
  unused: '未使用',
  remove: '删除',
  removeTitle: '删除 {name}？',
  removeText: '最多可释放 {size}，之后可以重新拉取或构建。',
  copyRun: '复制 docker run 命令',
  total: '{n} 个镜像，{size} | {n} 个镜像，{size}',
  columns: { name: '名称', id: 'ID', size: '大小', use: '使用', age: '创建时间' },
};
