import type { Words } from '../en.ts';

export const logs: Words['logs'] = {
  follow: '跟随',
  timestamps: '时间戳',
  search: '搜索日志',
  matches: '无匹配行 | {n} 行 | {n} 行',
  clear: '清空视图',
  copy: '复制',
  toEnd: '跳到最新一行',
  empty: '该容器还没有任何输出。',
  ended: '日志已结束。',
  dropped: '更早的 {n} 行未保留在此。',
  region: '{name} 的日志',
  wrap: '自动换行',
  regex: '正则表达式',
  save: '保存完整日志',
  earlier: '加载更早的行',
  invalid: '无效的正则表达式',
  slow: '该表达式耗时过长',
};
