import type { Finding } from '../../contract/troubleshoot.ts';
import type { DockerContext } from '../docker-context.ts';
import { findings } from './finding.ts';

const found = findings('context');

/** Where `docker` goes when nothing else is said. */
export async function checkContext(context: DockerContext, dockerHost: string): Promise<Finding> {
  let state: Awaited<ReturnType<DockerContext['state']>>;
  try {
    state = await context.state();
  } catch (error) {
    return found('warning', 'unreadable', { reason: error instanceof Error ? error.message : String(error) });
  }
  const { exists, current, override } = state;
  if (override === `DOCKER_HOST=${dockerHost}` || (override === 'DOCKER_CONTEXT=skiff' && exists)) {
    return found('good', 'overrideOurs', { override });
  }
  if (override) return found('warning', 'override', { override });
  if (current !== 'skiff') return found('note', 'elsewhere', { current }, 'use-context');
  return exists ? found('good', 'used') : found('warning', 'broken', {}, 'use-context');
}
