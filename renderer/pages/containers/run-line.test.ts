import { describe, expect, test } from 'vitest';
import type { ContainerWish } from '../../../electron/contract/containers.ts';
import { inspectionParts } from './run-inspect.ts';
import { runLine, splitCommand, wishParts } from './run-line.ts';

const wish: ContainerWish = {
  image: 'nginx',
  name: '',
  command: [],
  env: [],
  ports: [],
  volumes: [],
  networks: [],
  restart: '',
  cpus: 0,
  memoryBytes: 0,
};

const found = (config: object = {}, host: object = {}, more: object = {}) => ({
  container: {
    Id: 'abcdef0123456789',
    Name: '/web',
    Config: { Image: 'nginx', Hostname: 'abcdef012345', Cmd: ['serve'], Env: ['PATH=/bin'], ...config },
    HostConfig: { NetworkMode: 'bridge', ShmSize: 64 * 1024 ** 2, ...host },
    ...more,
  },
  image: { Config: { Cmd: ['serve'], Env: ['PATH=/bin'] } },
});
const line = (...args: Parameters<typeof found>) => runLine(inspectionParts(found(...args)));

describe('the docker run line of a wish', () => {
  test('says nothing of what is left as it is', () => {
    expect(runLine(wishParts(wish))).toBe('docker run -d nginx');
  });

  test('says everything that is asked for', () => {
    const full: ContainerWish = {
      ...wish,
      name: 'web',
      command: ['sh', '-c', 'echo $HOME'],
      env: [{ name: 'A', value: "it's" }],
      ports: [
        { hostIp: '', hostPort: '8080', containerPort: '80', protocol: 'tcp' },
        { hostIp: '::1', hostPort: '', containerPort: '53', protocol: 'udp' },
      ],
      volumes: [
        { source: 'data', target: '/data', readOnly: true },
        { source: '', target: '/cache', readOnly: false },
      ],
      networks: ['front', 'back'],
      restart: 'unless-stopped',
      cpus: 1.5,
      memoryBytes: 512 * 1024 ** 2,
    };
    expect(runLine(wishParts(full))).toBe(
      "docker run -d --name web -e 'A=it'\\''s' -p 8080:80 -p '[::1]::53/udp' -v data:/data:ro -v /cache " +
        "--network front --network back --restart unless-stopped --cpus 1.5 --memory 512m nginx sh -c 'echo $HOME'",
    );
  });
});

describe('the docker run line of a container', () => {
  test('leaves out what the image and the engine give by themselves', () => {
    expect(line()).toBe('docker run -d --name web nginx');
  });

  test('has its variables, ports, volumes, networks, limits and restart policy', () => {
    const host = {
      Binds: ['/src:/app:ro', 'data:/data'],
      PortBindings: {
        '80/tcp': [{ HostIp: '', HostPort: '8080' }],
        '53/udp': [{ HostIp: '127.0.0.1', HostPort: '53' }],
      },
      NetworkMode: 'front',
      RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 },
      NanoCpus: 500_000_000,
      Memory: 1024 ** 3,
      MemorySwap: 2 * 1024 ** 3,
      PidsLimit: 100,
    };
    const more = {
      Mounts: [
        { Type: 'volume', Name: 'data', Source: '/x', Destination: '/data', RW: true },
        { Type: 'volume', Name: 'f00', Source: '/y', Destination: '/anonymous', RW: true },
      ],
      NetworkSettings: { Networks: { front: { Aliases: ['www', 'abcdef012345'] }, back: {} } },
    };
    expect(line({ Env: ['PATH=/bin', 'MODE=a b'], Labels: { tier: 'web' } }, host, more)).toBe(
      "docker run -d --name web -e 'MODE=a b' --label tier=web -p 8080:80 -p 127.0.0.1:53:53/udp -v /src:/app:ro " +
        '-v data:/data -v /anonymous --network front --network-alias www --network back --restart on-failure:3 ' +
        '--cpus 0.5 --memory 1g --pids-limit 100 nginx',
    );
  });

  test('has its rights, devices and log options', () => {
    const host = {
      CapAdd: ['CAP_NET_ADMIN'],
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      Devices: [{ PathOnHost: '/dev/fuse', PathInContainer: '/dev/fuse', CgroupPermissions: 'rwm' }],
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m' } },
      Tmpfs: { '/tmp': 'size=1m' },
      Ulimits: [{ Name: 'nofile', Soft: 10, Hard: 20 }],
      ReadonlyRootfs: true,
      Init: true,
    };
    expect(line({ OpenStdin: true, Tty: true, User: '1000' }, host)).toBe(
      'docker run -dit --name web --user 1000 --tmpfs /tmp:size=1m --cap-add NET_ADMIN --cap-drop ALL --security-opt ' +
        'no-new-privileges --device /dev/fuse --read-only --init --ulimit nofile=10:20 --log-opt max-size=10m nginx',
    );
  });

  test('tells a command and an entrypoint of its own', () => {
    expect(line({ Cmd: ['echo', 'a b'] })).toBe("docker run -d --name web nginx echo 'a b'");
    expect(line({ Entrypoint: ['/bin/sh', '-c'], Cmd: ['ls'] })).toBe(
      'docker run -d --name web --entrypoint /bin/sh nginx -c ls',
    );
  });

  test('tells a health check of its own', () => {
    const Healthcheck = { Test: ['CMD-SHELL', 'curl -f localhost'], Interval: 5e9, Retries: 2 };
    expect(line({ Healthcheck })).toContain("--health-cmd 'curl -f localhost' --health-interval 5s --health-retries 2");
    expect(line({ Healthcheck: { Test: ['NONE'] } })).toContain('--no-healthcheck');
  });

  test('can not be led to run something else by a hostile value', () => {
    expect(line({ Env: ['X=$(rm -rf /)`id`;'], Labels: { "a'b": '\n' } })).toContain(
      "-e 'X=$(rm -rf /)`id`;' --label 'a'\\''b=\n'",
    );
  });
});

test('a command line is split as a shell splits it', () => {
  expect(splitCommand(`sh -c "echo \\"a b\\" 'c'" '' d\\ e  f`)).toEqual([
    'sh',
    '-c',
    `echo "a b" 'c'`,
    '',
    'd e',
    'f',
  ]);
  expect(splitCommand('  ')).toEqual([]);
});
