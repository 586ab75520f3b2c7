import {
  autocompletion,
  type Completion,
  type CompletionContext,
  type CompletionResult,
} from '@codemirror/autocomplete';
import { json } from '@codemirror/lang-json';
import { syntaxTree } from '@codemirror/language';
import { type Diagnostic, linter } from '@codemirror/lint';
import type { EditorState, Extension } from '@codemirror/state';
import type { ConfigKey, ConfigProblem } from '../../../../electron/contract/daemon.ts';

/** An editor of daemon.json: completes keys and values, and marks what is wrong where it stands. */
export function configEditor(
  keys: () => readonly ConfigKey[],
  check: (text: string) => Promise<ConfigProblem[]>,
): Extension {
  return [
    json(),
    autocompletion({ override: [(context) => complete(context, keys())], activateOnTyping: true }),
    linter(async (view) => marked(view.state, await check(view.state.doc.toString())), { delay: 250 }),
  ];
}

function complete(context: CompletionContext, keys: readonly ConfigKey[]): CompletionResult | null {
  const before = context.state.sliceDoc(0, context.pos);
  const value = /"([\w-]+)"\s*:\s*("?[\w-]*)$/.exec(before);
  if (value) {
    const known = keys.find(({ key }) => key === value[1]);
    const options = (known?.values ?? []).map((one): Completion => ({ label: JSON.stringify(one), type: 'constant' }));
    return options.length > 0 ? { from: context.pos - (value[2]?.length ?? 0), options } : null;
  }
  const typed = /[{,]\s*("?[\w-]*)$/.exec(before);
  if (!typed || depth(before) !== 1 || !(typed[1] || context.explicit)) return null;
  const there = new Set(topLevel(context.state).map(({ name }) => name));
  const options = keys
    .filter(({ key }) => !there.has(key))
    .map(
      (known): Completion => ({
        label: `"${known.key}"`,
        apply: `"${known.key}": `,
        detail: known.expected,
        type: 'property',
      }),
    );
  const after = context.state.sliceDoc(context.pos, context.pos + 1);
  // The quote that the editor has closed by itself goes with what is replaced.
  return { from: context.pos - (typed[1]?.length ?? 0), to: after === '"' ? context.pos + 1 : context.pos, options };
}

/** How many brackets are open; those within strings are none. */
function depth(text: string): number {
  let open = 0;
  for (const [sign] of text.replace(/"(?:[^"\\]|\\.)*"?/g, '').matchAll(/[{}[\]]/g))
    open += '{['.includes(sign) ? 1 : -1;
  return open;
}

function topLevel(state: EditorState): { name: string; from: number; to: number }[] {
  const found: { name: string; from: number; to: number }[] = [];
  const properties = syntaxTree(state).topNode.getChild('Object')?.getChildren('Property') ?? [];
  for (const property of properties) {
    const name = property.getChild('PropertyName');
    if (!name) continue;
    found.push({ name: state.sliceDoc(name.from + 1, name.to - 1), from: property.from, to: property.to });
  }
  return found;
}

function marked(state: EditorState, problems: readonly ConfigProblem[]): Diagnostic[] {
  const places = topLevel(state);
  return problems.map(({ key, message }) => {
    const { from, to } = places.find(({ name }) => name === key) ?? firstError(state);
    return { from, to, message, severity: 'error' };
  });
}

function firstError(state: EditorState): { from: number; to: number } {
  let at: number | undefined;
  syntaxTree(state).iterate({
    enter: (node) => {
      if (at === undefined && node.type.isError) at = node.from;
    },
  });
  const from = Math.min(at ?? 0, state.doc.length);
  return { from, to: Math.min(from + 1, state.doc.length) };
}
