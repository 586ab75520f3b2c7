import type Dockerode from 'dockerode';
import { describe, expect, test } from 'vitest';
import { containerRow, engineEvent, imageRow } from './rows.ts';

const container = (more: object) =>
  ({ Id: 'abc', Names: ['/web'], Created: 1, ...more }) as unknown as Dockerode.ContainerInfo;

describe('what the engine lists, as the window shows it', () => {
  test('a published port that is listed for IPv4 and IPv6 is one', () => {
    const port = { PrivatePort: 80, PublicPort: 8080, Type: 'tcp' };
    const row = containerRow(
      container({
        Ports: [
          { ...port, IP: '::' },
          { ...port, IP: '0.0.0.0' },
        ],
      }),
    );
    expect(row.ports).toEqual([{ protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIp: '0.0.0.0' }]);
  });

  test('names lose their slash, projects come from labels, times are milliseconds', () => {
    const row = containerRow(container({ Labels: { 'com.docker.compose.project': 'shop' } }));
    expect(row).toMatchObject({ name: 'web', project: 'shop', service: undefined, createdAt: 1000 });
  });

  test('a dangling image has no tags, uncounted users are unknown', () => {
    const found = { Id: 'sha256:1', RepoTags: ['<none>:<none>'], Created: 1, Size: 2, Containers: -1 };
    expect(imageRow(found as unknown as Dockerode.ImageInfo)).toMatchObject({ tags: [], containers: undefined });
  });

  test('events of unknown nouns are left out', () => {
    expect(engineEvent({ Type: 'plugin', Action: 'enable' })).toBeUndefined();
    expect(engineEvent({ Type: 'container', Action: 'die', Actor: { ID: 'x' }, time: 5 })).toMatchObject({
      noun: 'container',
      time: 5000,
    });
  });
});
