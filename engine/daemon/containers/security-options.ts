import { release } from 'node:os';

import { invalidParameter, messageOf } from '../../errors.ts';
import { compileProfile } from '../../runtime/seccomp.ts';
import type { SeccompChoice } from '../../runtime/spec.ts';

/** Options of --security-opt, parsed once. */
export interface SecurityOptions {
  readonly seccomp: SeccompChoice;
  readonly noNewPrivileges: boolean;
  readonly unmasked: boolean;
  readonly apparmor: string | undefined;
}

const TRUE = ['1', 't', 'T', 'true', 'TRUE', 'True'];
const FALSE = ['0', 'f', 'F', 'false', 'FALSE', 'False'];

/** Throws Docker's errors for options that don't exist. SELinux labels are taken, as by dockerd where SELinux is off. */
export function parseSecurityOptions(options: readonly string[]): SecurityOptions {
  let seccomp: SeccompChoice = 'default';
  let noNewPrivileges = false;
  let unmasked = false;
  let apparmor: string | undefined;
  for (const option of options) {
    if (option === 'no-new-privileges') {
      noNewPrivileges = true;
      continue;
    }
    if (option === 'disable') continue;
    const at = option.includes('=') ? option.indexOf('=') : option.indexOf(':');
    if (at < 0) throw invalidParameter(`invalid --security-opt 1: ${JSON.stringify(option)}`);
    const key = option.slice(0, at);
    const value = option.slice(at + 1);
    if (key === 'no-new-privileges' && [...TRUE, ...FALSE].includes(value)) noNewPrivileges = TRUE.includes(value);
    else if (key === 'seccomp') seccomp = seccompOf(value);
    else if (key === 'systempaths' && value === 'unconfined') unmasked = true;
    else if (key === 'apparmor') apparmor = value;
    else if (key !== 'label') throw invalidParameter(`invalid --security-opt 2: ${JSON.stringify(option)}`);
  }
  return { seccomp, noNewPrivileges, unmasked, apparmor };
}

function seccompOf(value: string): SeccompChoice {
  if (value === 'unconfined') return value;
  if (value === 'builtin' || value === '') return 'default';
  try {
    compileProfile(value, [], release());
  } catch (error) {
    throw invalidParameter(`Decoding seccomp profile failed: ${messageOf(error)}`, error);
  }
  return { profile: value };
}
