import type { Finding } from '../../contract/troubleshoot.ts';
import { type Host, thisHost } from '../../machine/platform.ts';
import type { Accelerator } from '../../machine/types.ts';
import { findings } from './finding.ts';

const found = findings('virtualisation');

/** Does the machine run on the computer's own virtualisation, or is it emulated, and why. */
export function checkVirtualisation(accelerator: Accelerator | undefined, host: Host = thisHost()): Finding {
  if (accelerator && accelerator !== 'tcg') return found('good', 'used', { accelerator });
  if (host.platform === 'linux') {
    if (!host.exists('/dev/kvm')) return found('warning', 'noKvm');
    if (!host.canOpen('/dev/kvm')) return found('warning', 'kvmForbidden');
  }
  if (!accelerator) return found('unknown', 'notStarted');
  return found('warning', host.platform === 'win32' ? 'noWhpx' : 'emulated');
}
