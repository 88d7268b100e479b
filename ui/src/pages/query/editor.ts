/**
 * The editor of PromQL: highlighting, completion, signatures, help and lint. Loaded after the page is there.
 *
 * It lives in a shadow root: there CodeMirror adds its styles as sheets of objects, which a strict policy allows, and not as
 * `<style>` elements, which it refuses.
 */

import {
  acceptCompletion,
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
  type CompletionContext,
  type CompletionResult,
} from "@codemirror/autocomplete";
import { defaultKeymap, history as undoHistory, historyKeymap, insertNewlineAndIndent } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting, syntaxTree } from "@codemirror/language";
import { lintKeymap } from "@codemirror/lint";
import { EditorState, Prec, type Extension } from "@codemirror/state";
import { drawSelection, EditorView, highlightSpecialChars, hoverTooltip, keymap, placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { newCompleteStrategy, PromQLExtension, type CompleteStrategy } from "@prometheus-io/codemirror-promql";

import { rawFetch } from "../../api/client";
import { base } from "../../lib/router";
import { helpAt } from "./editorHelp";

export interface EditorOptions {
  parent: HTMLElement;
  root: ShadowRoot;
  doc: string;
  label: string;
  onChange: (doc: string) => void;
  onRun: () => void;
  /** Earlier queries, the newest first. */
  past: () => readonly string[];
}

export interface Editor {
  /** Replaces the text, if it is another. */
  setDoc: (doc: string) => void;
  /** Writes a text in place of what is selected. */
  insert: (text: string) => void;
  focus: () => void;
  destroy: () => void;
}

const colour = (name: string) => `var(--${name})`;

const highlighting = HighlightStyle.define([
  { tag: tags.number, color: colour("syntax-number") },
  { tag: tags.string, color: colour("syntax-string") },
  { tag: [tags.keyword, tags.function(tags.variableName), tags.operatorKeyword], color: colour("syntax-function") },
  { tag: tags.labelName, color: colour("syntax-label") },
  { tag: tags.operator, color: colour("syntax-operator") },
  { tag: tags.modifier, color: colour("syntax-modifier") },
  { tag: tags.comment, color: colour("text-quiet"), fontStyle: "italic" },
  { tag: tags.invalid, color: colour("bad") },
]);

const look = EditorView.theme({
  "&": { color: colour("text"), fontSize: "13.5px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: colour("mono"), lineHeight: "1.5" },
  ".cm-content": { padding: "7px 0", caretColor: colour("text") },
  ".cm-line": { padding: "0 10px" },
  ".cm-cursor": { borderLeftColor: colour("text") },
  ".cm-placeholder": { color: colour("text-quiet") },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: colour("selection"),
  },
  "&.cm-focused .cm-matchingBracket": { background: colour("selection"), outline: `1px solid ${colour("border-strong")}` },
  ".cm-tooltip": {
    background: colour("raised"),
    color: colour("text"),
    border: `1px solid ${colour("border-strong")}`,
    borderRadius: "6px",
    boxShadow: colour("shadow"),
    fontSize: "13px",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": {
    fontFamily: colour("mono"),
    maxHeight: "20em",
    minWidth: "22em",
    maxWidth: "min(44em, 90vw)",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "2px 8px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { background: colour("accent"), color: colour("on-accent") },
  ".cm-completionDetail": { color: colour("text-quiet"), fontStyle: "normal", marginLeft: "1em" },
  "li[aria-selected] .cm-completionDetail": { color: "inherit" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
  ".cm-completionInfo": { maxWidth: "30em", padding: "8px 10px", whiteSpace: "pre-wrap" },
  ".cm-help": { maxWidth: "40em", padding: "8px 10px" },
  ".cm-help-signature": { fontFamily: colour("mono"), display: "block" },
  ".cm-help-text": { display: "block", color: colour("text-quiet"), marginTop: "4px" },
  ".cm-diagnostic": { padding: "4px 10px" },
  ".cm-diagnostic-error": { borderLeft: `3px solid ${colour("bad")}` },
});

/** Completion by the library, with earlier queries where the text is still empty or one word. */
function withPast(inner: CompleteStrategy, past: () => readonly string[]): CompleteStrategy {
  return {
    async promQL(context: CompletionContext): Promise<CompletionResult | null> {
      const found = await inner.promQL(context);
      const from = found?.from ?? syntaxTree(context.state).resolve(context.pos, -1).from;
      if (from !== 0 || past().length === 0) return found;
      const queries = past().map((query) => ({
        label: query.length < 80 ? query : `${query.slice(0, 77)}…`,
        detail: "earlier",
        apply: query,
        boost: -50,
      }));
      return { from, to: context.pos, options: [...(found?.options ?? []), ...queries], validFor: /^[a-zA-Z0-9_:]*$/ };
    },
  };
}

/** Keys: Enter runs, and Alt with an arrow goes through earlier queries. */
function keys({ onRun, past }: EditorOptions): Extension {
  let at = -1;
  let draft = "";
  const go = (by: number) => (view: EditorView) => {
    const queries = past();
    if (at === -1) draft = view.state.doc.toString();
    at = Math.max(-1, Math.min(queries.length - 1, at + by));
    const text = at === -1 ? draft : (queries[at] ?? "");
    view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text }, selection: { anchor: text.length } });
    return true;
  };
  const run = () => {
    at = -1;
    onRun();
    return true;
  };
  return Prec.highest(
    keymap.of([
      { key: "Mod-Enter", run },
      { key: "Enter", run: (view) => acceptCompletion(view) || run() },
      { key: "Shift-Enter", run: insertNewlineAndIndent },
      { key: "Tab", run: acceptCompletion },
      { key: "Alt-ArrowUp", run: go(1) },
      { key: "Alt-ArrowDown", run: go(-1) },
    ]),
  );
}

export function createEditor(options: EditorOptions): Editor {
  const { parent, root, doc, label, onChange, past } = options;
  const remote = { url: base.replace(/\/$/, ""), fetchFn: rawFetch };
  const promql = new PromQLExtension().setComplete({ completeStrategy: withPast(newCompleteStrategy({ remote }), past) });
  const view = new EditorView({
    parent,
    root,
    state: EditorState.create({
      doc,
      extensions: [
        keys(options),
        look,
        syntaxHighlighting(highlighting),
        highlightSpecialChars(),
        undoHistory(),
        drawSelection(),
        indentOnInput(),
        bracketMatching(),
        closeBrackets(),
        autocompletion({ icons: false, interactionDelay: 0 }),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": label }),
        placeholder("PromQL, for example: sum by (job) (rate(http_requests_total[5m]))"),
        promql.asExtension(),
        hoverTooltip(helpAt()),
        keymap.of([
          ...closeBracketsKeymap,
          ...completionKeymap,
          ...lintKeymap,
          { key: "Escape", run: (v) => (v.contentDOM.blur(), true) },
          ...historyKeymap,
          ...defaultKeymap,
        ]),
        EditorView.updateListener.of((update) => update.docChanged && onChange(update.state.doc.toString())),
      ],
    }),
  });
  return {
    setDoc: (text) => {
      if (text === view.state.doc.toString()) return;
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
    },
    insert: (text) => {
      view.dispatch(view.state.replaceSelection(text));
      view.focus();
    },
    focus: () => view.focus(),
    destroy: () => {
      promql.destroy();
      view.destroy();
    },
  };
}
