import { tunnelConformance } from './conformance.ts';
import { openLocalTunnel } from './local.ts';
import { sshdMissing } from './sshd.ts';

tunnelConformance({
  name: 'a plain HTTP server behind a real sshd on this machine',
  open: openLocalTunnel,
  skip: sshdMissing(),
});
