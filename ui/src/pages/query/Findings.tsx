/** What was wrong with a query, under the place where it is, and what was probably meant. */

import { useEffect, useState } from "preact/hooks";

import type { ApiError } from "../../api/client";
import { Notice, type Kind } from "../../components/Notice";
import type { Diagnosis } from "./diagnose";
import { foreignCharacters, missingRange, offset, type Slip } from "./slips";

/** A part of the query with a mark under one place of it. */
function Place({ expr, line, column }: { expr: string; line: number; column: number }) {
  const at = offset(expr, line, column);
  const begin = expr.lastIndexOf("\n", at - 1) + 1;
  const end = expr.indexOf("\n", at);
  const text = expr.slice(begin, end === -1 ? undefined : end);
  return (
    <pre class="place" role="img" aria-label={`Line ${line}, column ${column} of the query`} tabIndex={0}>
      {text}
      {"\n"}
      {/* The same text, unseen, so that the mark is in its place whatever the width of letters. */}
      <span class="place-before">{text.slice(0, at - begin)}</span>
      <span class="place-mark">▲</span>
    </pre>
  );
}

interface MessageProps {
  kind: Kind;
  text: string;
  /** The query that it is about. */
  expr: string;
  slips?: readonly Slip[];
  onFix?: (expr: string) => void;
}

/** A message; where it names a place, with that place. */
export function Message({ kind, text, expr, slips = [], onFix = () => undefined }: MessageProps) {
  // Errors begin with the place, annotations end with it.
  const place = /(\d+):(\d+): parse error:/.exec(text) ?? /\((\d+):(\d+)\)$/.exec(text);
  return (
    <Notice kind={kind}>
      <span class="message">{text}</span>
      {place && <Place expr={expr} line={Number(place[1])} column={Number(place[2])} />}
      {slips.map(({ says }) => (
        <div key={says}>{says}</div>
      ))}
      <Fixes slips={slips} onFix={onFix} />
    </Notice>
  );
}

function Fixes({ slips, onFix }: { slips: readonly Slip[]; onFix: (expr: string) => void }) {
  if (slips.length === 0) return null;
  return (
    <div class="fixes">
      {slips.map((slip) => (
        <button key={slip.fixed} type="button" class="small" title={slip.says} onClick={() => onFix(slip.fixed)}>
          {slip.fix}
        </button>
      ))}
    </div>
  );
}

/** A query's error with the slips that explain it. */
export function QueryFailure({ error, expr, onFix }: { error: ApiError; expr: string; onFix: (expr: string) => void }) {
  const slips = [foreignCharacters(expr), missingRange(expr, error.message)].filter((slip) => slip !== null);
  return <Message kind="error" text={error.message} expr={expr} slips={slips} onFix={onFix} />;
}

/** Why there is no result. */
export function EmptyResult({ expr, onFix }: { expr: string; onFix: (expr: string) => void }) {
  const [reasons, setReasons] = useState<readonly Diagnosis[]>([]);
  useEffect(() => {
    const abort = new AbortController();
    setReasons([]);
    // Brings a parser with it, which a result needs not. An explanation that cannot be had is not missed.
    import("./diagnose").then(({ diagnose }) => diagnose(expr, abort.signal)).then(setReasons, () => undefined);
    return () => abort.abort();
  }, [expr]);
  return (
    <div class="empty-result">
      <p>Empty query result: no series matches at this time.</p>
      {reasons.map((reason) => (
        <Notice key={reason.says} kind="info">
          <span class="message">{reason.says}</span>
          <Fixes slips={reason.slips} onFix={onFix} />
        </Notice>
      ))}
    </div>
  );
}
