/** Help under the pointer: signatures of functions, and what targets say of a metric. */

import { syntaxTree } from "@codemirror/language";
import type { EditorView, Tooltip } from "@codemirror/view";
import { aggregateOpTerms, functionIdentifierTerms } from "@prometheus-io/codemirror-promql/dist/esm/complete/promql.terms";
import { getFunction } from "@prometheus-io/codemirror-promql/dist/esm/types/function";

import { get } from "../../api/client";

interface Help {
  signature: string;
  text: string;
}

/** Words for the library's types. */
const TYPES: Readonly<Record<string, string>> = {
  vector: "instant vector",
  matrix: "range vector",
  scalar: "scalar",
  string: "string",
};

const DOCS = new Map([...functionIdentifierTerms, ...aggregateOpTerms].map(({ label, info }) => [label, String(info ?? "")]));

/** `rate(range vector) → instant vector` */
export function signature(name: string, id: number): string {
  const { argTypes, variadic, returnType } = getFunction(id);
  // -1 for any number of the last argument, a positive number for so many that may be left out.
  const optional = variadic > 0 ? variadic : 0;
  const args = argTypes.map((type, i) => {
    const word = TYPES[type] ?? type;
    return i >= argTypes.length - optional ? `[${word}]` : word;
  });
  if (variadic < 0) args.push("…");
  return `${name}(${args.join(", ")}) → ${TYPES[returnType] ?? returnType}`;
}

async function ofMetric(name: string): Promise<Help | null> {
  const { data } = await get("/metadata", { metric: name });
  const [said] = data[name] ?? [];
  if (!said) return null;
  return { signature: `${name} (${said.type}${said.unit === "" ? "" : `, ${said.unit}`})`, text: said.help };
}

/** What CodeMirror asks with a position. */
export function helpAt() {
  return async (view: EditorView, pos: number, side: -1 | 1): Promise<Tooltip | null> => {
    const node = syntaxTree(view.state).resolveInner(pos, side);
    const text = view.state.sliceDoc(node.from, node.to);
    const parent = node.parent?.name;
    let help: Help | null = null;
    if (parent === "FunctionIdentifier") help = { signature: signature(text, node.type.id), text: DOCS.get(text) ?? "" };
    else if (parent === "AggregateOp")
      help = { signature: `${text}(instant vector) by (…) → instant vector`, text: DOCS.get(text) ?? "" };
    else if (node.name === "Identifier") help = await ofMetric(text).catch(() => null);
    return help && { pos: node.from, end: node.to, above: true, create: () => ({ dom: shown(help) }) };
  };
}

function shown({ signature, text }: Help): HTMLElement {
  const dom = document.createElement("div");
  dom.className = "cm-help";
  for (const [name, content] of [
    ["cm-help-signature", signature],
    ["cm-help-text", text],
  ] as const) {
    const part = document.createElement("span");
    part.className = name;
    part.textContent = content;
    if (content !== "") dom.append(part);
  }
  return dom;
}
