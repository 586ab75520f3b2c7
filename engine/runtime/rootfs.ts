export { openInRoot, readInRoot, resolveInRoot } from '../linux/rootfs.ts';
