export { parseSignal } from '../linux/processes.ts';
