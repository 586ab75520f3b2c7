export { resolveInRoot } from '../linux/rootfs.ts';
