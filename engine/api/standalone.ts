import { type EngineError, invalidParameter, notImplemented, unavailable } from '../errors.ts';
import { type Handler, type Route, route } from './router.ts';

/** moby, daemon/cluster/errors.go: errNoSwarm. */
const NO_SWARM =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';
const NOT_PART = 'This node is not part of a swarm';

const refuse =
  (error: () => EngineError): Handler =>
  () => {
    throw error();
  };
const notManager = refuse(() => unavailable(NO_SWARM));
const noSwarmMode = refuse(() => notImplemented('swarm mode is not supported by this engine'));
/** Paths below which a standalone dockerd answers every operation with errNoSwarm. */
const CLUSTER_OPERATIONS: readonly (readonly [Route['method'], string])[] = [
  ['GET', '/swarm'],
  ['POST', '/swarm/update'],
  ['GET', '/swarm/unlockkey'],
  ['GET', '/nodes'],
  ['GET', '/nodes/{id}'],
  ['DELETE', '/nodes/{id}'],
  ['POST', '/nodes/{id}/update'],
  ['GET', '/services'],
  ['POST', '/services/create'],
  ['GET', '/services/{id}'],
  ['DELETE', '/services/{id}'],
  ['POST', '/services/{id}/update'],
  ['GET', '/services/{id}/logs'],
  ['GET', '/tasks'],
  ['GET', '/tasks/{id}'],
  ['GET', '/tasks/{id}/logs'],
  ['GET', '/secrets'],
  ['POST', '/secrets/create'],
  ['GET', '/secrets/{id}'],
  ['DELETE', '/secrets/{id}'],
  ['POST', '/secrets/{id}/update'],
  ['GET', '/configs'],
  ['POST', '/configs/create'],
  ['GET', '/configs/{id}'],
  ['DELETE', '/configs/{id}'],
  ['POST', '/configs/{id}/update'],
];

/**
 * Operations tagged Swarm, Node, Service, Task, Secret, Config and Session. The engine is a standalone one: it says so as a
 * dockerd that never joined a swarm does, and never answers a bare 404.
 */
export function standaloneRoutes(): Route[] {
  return [
    ...CLUSTER_OPERATIONS.map(([method, path]) => route(method, path, notManager)),
    route('POST', '/swarm/init', noSwarmMode),
    route('POST', '/swarm/join', noSwarmMode),
    route(
      'POST',
      '/swarm/leave',
      refuse(() => unavailable(NOT_PART)),
    ),
    route(
      'POST',
      '/swarm/unlock',
      refuse(() => unavailable(NOT_PART)),
    ),
    route(
      'POST',
      '/session',
      refuse(() => invalidParameter(NO_SESSION)),
    ),
    route(
      'POST',
      '/grpc',
      refuse(() => invalidParameter(NO_SESSION)),
    ),
  ];
}

const NO_SESSION =
  'BuildKit sessions are not supported by this engine: build with the classic builder (DOCKER_BUILDKIT=0 docker build …)';
