import type { CheckId, Finding, Fix } from '../../contract/troubleshoot.ts';

/** Makes the findings of one check. */
export function findings(check: CheckId) {
  return (level: Finding['level'], code: string, values: Finding['values'] = {}, ...fixes: Fix[]): Finding => ({
    check,
    level,
    code,
    values,
    fixes,
  });
}
