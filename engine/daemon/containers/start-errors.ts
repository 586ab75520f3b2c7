import { EngineError, invalidParameter, messageOf, systemError } from '../../errors.ts';
import { RuntimeFailed } from '../../runtime/shim-client.ts';

/** A start that failed: what the client is told, and the exit code the container keeps. */
export interface StartFailure {
  readonly error: EngineError;
  readonly exitCode: number;
}

/**
 * The OCI runtime's words → Docker's, which clients read: the docker CLI exits 127 on "executable file not found" and
 * "no such file or directory", 126 on "permission denied", else 125.
 */
export function startFailure(error: unknown, command: string): StartFailure {
  if (!(error instanceof RuntimeFailed)) {
    const wrapped = error instanceof EngineError ? error : systemError(messageOf(error), error);
    return { error: wrapped, exitCode: 128 };
  }
  const { reason, exitCode } = explain(error.message, command);
  const message = `failed to create task for container: failed to create shim task: OCI runtime create failed: ${reason}: unknown`;
  return { error: exitCode === 128 ? systemError(message, error) : invalidParameter(message, error), exitCode };
}

/** As startFailure, for exec. */
export function execFailure(error: unknown, command: string): StartFailure {
  if (!(error instanceof RuntimeFailed)) return startFailure(error, command);
  const { reason, exitCode } = explain(error.message, command);
  const message = `OCI runtime exec failed: exec failed: ${reason}: unknown`;
  return { error: exitCode === 128 ? systemError(message, error) : invalidParameter(message, error), exitCode };
}

function explain(text: string, command: string): { reason: string; exitCode: number } {
  const start = `unable to start container process: exec: ${JSON.stringify(command)}`;
  if (/not found in \$PATH/.test(text) && !command.includes('/')) {
    return { reason: `${start}: executable file not found in $PATH`, exitCode: 127 };
  }
  const aboutCommand = text.includes('exec') || text.includes(`\`${command}\``) || text.includes(`"${command}"`);
  if (/not found in \$PATH/.test(text) || (aboutCommand && /No such file or directory/i.test(text))) {
    return { reason: `${start}: stat ${command}: no such file or directory`, exitCode: 127 };
  }
  if (
    /exists but it is not executable/.test(text) ||
    (aboutCommand && /Permission denied|is a directory/i.test(text))
  ) {
    return { reason: `${start}: permission denied`, exitCode: 126 };
  }
  if (aboutCommand && /Exec format error/i.test(text)) {
    return { reason: `${start}: exec format error`, exitCode: 126 };
  }
  return { reason: text, exitCode: 128 };
}
