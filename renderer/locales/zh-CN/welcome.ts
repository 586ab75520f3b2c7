import type { Words } from '../en.ts';

export const welcome: Words['welcome'] = {
  title: '欢迎使用',
  text: '运行第一个容器：镜像已内置，无需网络。它会在浏览器中打开。',
  run: '运行欢迎容器',
  orPaste: '也可以在终端中使用 docker；运行的容器会立即显示在这里。',
  one: '仅当前终端',
  all: '所有终端',
  next: '然后',
  failed: '欢迎容器未能启动',
};
