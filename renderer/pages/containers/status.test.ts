import { expect, test } from 'vitest';
import type { ContainerRow } from '../../../electron/contract/engine.ts';
import { en } from '../../locales/en.ts';
import { zhCN } from '../../locales/zh-CN.ts';
import { statusWords } from './status.ts';

/** The few things that vue-i18n would do here. */
function words(statusText: string, locale: 'en' | 'zh-CN'): string {
  const t = (key: string, values: Record<string, unknown> = {}) => {
    const found = key
      .split('.')
      .reduce<unknown>((at, part) => (at as Record<string, unknown>)[part], locale === 'en' ? en : zhCN);
    return String(found).replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
  };
  return statusWords({ status: 'exited', statusText } as ContainerRow, t, locale);
}

test.each([
  ['Up 5 minutes', 'Up 5 minutes', '已运行5分钟'],
  ['Up About an hour (healthy)', 'Up 1 hour (healthy)', '已运行1小时 (健康)'],
  ['Up Less than a second (health: starting)', 'Up 1 second (health check pending)', '已运行1秒钟 (健康检查中)'],
  ['Up 2 weeks (Paused)', 'Up 2 weeks (paused)', '已运行2周 (已暂停)'],
  ['Exited (137) 3 days ago', 'Exited (137) 3 days ago', '3天前退出 (137)'],
  ['Restarting (1) 4 seconds ago', 'Restarting (1) 4 seconds ago', '4秒钟前重启 (1)'],
])('%s is said in either language', (docker, english, chinese) => {
  expect(words(docker, 'en')).toBe(english);
  expect(words(docker, 'zh-CN')).toBe(chinese);
});

test('a sentence that Docker has not said yet is the state', () => {
  expect(words('Removal In Progress', 'en')).toBe(en.containers.status.exited);
});
