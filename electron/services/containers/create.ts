import type Dockerode from 'dockerode';
import type { ContainerWish, CreatedContainer } from '../../contract/containers.ts';
import { ServiceError } from '../errors.ts';

/** POST /containers/create, after the image was pulled when it is not there and that is wished. */
export async function createContainer(
  docker: Dockerode,
  wish: ContainerWish,
  options: { start: boolean; pull: boolean },
  signal: AbortSignal,
): Promise<CreatedContainer> {
  const body = createBody(wish);
  try {
    return await create(docker, body, options.start);
  } catch (error) {
    if (!options.pull || (error as { statusCode?: number }).statusCode !== 404) throw error;
  }
  await pull(docker, String(body.Image), signal);
  return create(docker, body, options.start);
}

async function create(docker: Dockerode, body: Dockerode.ContainerCreateOptions, start: boolean) {
  const container = await docker.createContainer(body);
  const { Warnings } = container as unknown as { Warnings?: string[] };
  if (start) {
    try {
      await container.start();
    } catch (error) {
      // What could not be started was not wished for: `docker run` leaves it, a form that is corrected must not meet its name.
      await container.remove({ force: true, v: true }).catch(() => {});
      throw error;
    }
  }
  return { id: container.id, warnings: Warnings ?? [] };
}

async function pull(docker: Dockerode, image: string, abortSignal: AbortSignal): Promise<void> {
  const reference = /[:@][^/]*$/.test(image) ? image : `${image}:latest`;
  const stream = (await docker.pull(reference, { abortSignal } as object)) as NodeJS.ReadableStream;
  await new Promise<void>((done, fail) => {
    docker.modem.followProgress(stream, (error: unknown) => (error ? fail(error) : done()));
  });
}

export function createBody(wish: ContainerWish): Dockerode.ContainerCreateOptions {
  const text = (value: unknown, what: string): string => {
    if (typeof value === 'string' && value.length <= 32_768 && !value.includes('\0')) return value;
    throw new ServiceError('invalid', `${what} is missing or wrong.`);
  };
  const list = <T>(value: unknown): T[] => (Array.isArray(value) ? (value as T[]).slice(0, 1_000) : []);
  const amount = (value: unknown) => (typeof value === 'number' && value > 0 && Number.isFinite(value) ? value : 0);
  if (!text(wish?.image, 'The image').trim()) throw new ServiceError('invalid', 'An image is needed.');
  const command = list<unknown>(wish.command).map((word) => text(word, 'The command'));
  const networks = list<unknown>(wish.networks).map((name) => text(name, 'A network'));
  const ports = list<ContainerWish['ports'][number]>(wish.ports).filter((port) => text(port.containerPort, 'A port'));
  const portKey = (port: ContainerWish['ports'][number]) => `${port.containerPort}/${port.protocol ?? 'tcp'}`;
  const volumes = list<ContainerWish['volumes'][number]>(wish.volumes).filter((one) => text(one.target, 'A volume'));
  const bound = volumes.filter(({ source }) => text(source, 'A volume'));
  const bindings = Map.groupBy(ports, portKey);
  return {
    name: text(wish.name ?? '', 'The name'),
    Image: wish.image.trim(),
    ...(command.length > 0 ? { Cmd: command } : {}),
    Env: list<ContainerWish['env'][number]>(wish.env)
      .filter(({ name }) => text(name, 'A variable'))
      .map(({ name, value }) => `${name}=${text(value, 'A variable')}`),
    ExposedPorts: Object.fromEntries(ports.map((port) => [portKey(port), {}])),
    Volumes: Object.fromEntries(volumes.filter(({ source }) => !source).map(({ target }) => [target, {}])),
    HostConfig: {
      Binds: bound.map(({ source, target, readOnly }) => `${source}:${target}${readOnly ? ':ro' : ''}`),
      PortBindings: Object.fromEntries(
        [...bindings].map(([key, some]) => [
          key,
          some.map(({ hostIp, hostPort }) => ({ HostIp: hostIp ?? '', HostPort: String(hostPort ?? '') })),
        ]),
      ),
      RestartPolicy: { Name: text(wish.restart ?? '', 'The restart policy') },
      NanoCpus: Math.round(amount(wish.cpus) * 1e9),
      Memory: Math.round(amount(wish.memoryBytes)),
      ...(networks[0] ? { NetworkMode: networks[0] } : {}),
    },
    ...(networks.length > 0
      ? { NetworkingConfig: { EndpointsConfig: Object.fromEntries(networks.map((name) => [name, {}])) } }
      : {}),
  };
}
