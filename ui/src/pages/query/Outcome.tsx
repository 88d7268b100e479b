/** What every tab shows around its result: errors, warnings and infos, why it is empty, and that it is being asked for. */

import type { ComponentChildren } from "preact";

import type { Fetched } from "../../api/useApi";
import { EmptyResult, Message, QueryFailure } from "./Findings";
import type { Panel } from "./state";

/** A query as it was asked: the text in the editor may be another meanwhile. */
export interface Asked {
  expr: string;
  atMs: number;
  /** How often it was run. */
  round: number;
}

export interface TabProps {
  panel: Panel;
  asked: Asked;
  onChange: (change: Partial<Panel>) => void;
  /** Runs a query in place of the one that was asked. */
  onFix: (expr: string) => void;
}

interface Props {
  fetched: Fetched<unknown>;
  expr: string;
  isEmpty: boolean;
  onFix: (expr: string) => void;
  children: ComponentChildren;
}

export function Outcome({ fetched, expr, isEmpty, onFix, children }: Props) {
  const { answer, error, isLoading } = fetched;
  return (
    <div class={`outcome${isLoading ? " loading" : ""}`} aria-busy={isLoading}>
      {error && !(isLoading && answer) && <QueryFailure error={error} expr={expr} onFix={onFix} />}
      {answer?.warnings.map((text) => (
        <Message key={text} kind="warning" text={text} expr={expr} />
      ))}
      {answer?.infos.map((text) => (
        <Message key={text} kind="info" text={text} expr={expr} />
      ))}
      {isEmpty && !error && <EmptyResult expr={expr} onFix={onFix} />}
      {answer && !isEmpty && (!error || error.isPassing) && children}
      {!answer && isLoading && <p class="quiet waiting">Waiting for the result…</p>}
    </div>
  );
}
