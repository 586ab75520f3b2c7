import { familiar, parseReference, withDefaultTag } from '../../content/reference.ts';
import { isKind } from '../../errors.ts';

const HEX64 = /^[0-9a-f]{64}$/;

/** `sshfs` → `sshfs:latest`; undefined for what can't be a plugin's name. */
export function fullName(reference: string): string | undefined {
  if (HEX64.test(reference)) return undefined;
  try {
    const ref = parseReference(reference);
    return ref.digest === undefined ? familiar(withDefaultTag(ref)) : undefined;
  } catch (error) {
    if (isKind(error, 'invalidParameter')) return undefined;
    throw error;
  }
}
