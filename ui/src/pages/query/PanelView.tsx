/** A query with its result. */

import { useEffect, useRef, useState } from "preact/hooks";

import { ApiError } from "../../api/client";
import { formatted } from "../../api/queries";
import { Notice } from "../../components/Notice";
import { tabId, Tabs } from "../../components/Tabs";
import { lazy } from "../../lib/lazy";
import { remember } from "./history";
import type { Asked, TabProps } from "./Outcome";
import { QueryInput } from "./QueryInput";
import { foreignCharacters } from "./slips";
import type { Panel, Tab } from "./state";
import { TableTab } from "./TableTab";

const GraphTab = lazy(() => import("./GraphTab"));
const ExplainTab = lazy(() => import("./ExplainTab"));
const MetricsExplorer = lazy(() => import("./MetricsExplorer"));

const TABS: readonly (readonly [Tab, string])[] = [
  ["table", "Table"],
  ["graph", "Graph"],
  ["explain", "Explain"],
];

interface Props {
  panel: Panel;
  number: number;
  onChange: (change: Partial<Panel>, isStep?: boolean) => void;
  onRemove: (() => void) | null;
}

export function PanelView({ panel, number, onChange, onRemove }: Props) {
  const [draft, setDraft] = useState(panel.expr);
  const [asked, setAsked] = useState<Asked | null>(null);
  const [isExploring, setExploring] = useState(false);
  const [formatError, setFormatError] = useState("");
  const insert = useRef<((text: string) => void) | null>(null);

  const run = (text: string) => {
    setDraft(text);
    const expr = text.trim();
    if (expr === "") return;
    remember(expr);
    setFormatError("");
    setAsked((old) => ({ expr, atMs: Date.now(), round: (old?.round ?? 0) + 1 }));
    if (expr !== panel.expr) onChange({ expr }, true);
  };

  // A link, or a step back to one, is run as if it had been written.
  useEffect(() => {
    if (panel.expr.trim() !== asked?.expr) run(panel.expr);
  }, [panel.expr]);

  const format = async () => {
    try {
      setDraft((await formatted(draft)).data);
      setFormatError("");
    } catch (error) {
      setFormatError(error instanceof ApiError ? error.message : String(error));
    }
  };
  const slip = foreignCharacters(draft);
  // The editor has its own keys; this is for the other fields of the panel.
  const runByKey = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.defaultPrevented) run(draft);
  };
  return (
    <section class="panel" aria-label={`Query ${number}`} onKeyDown={runByKey}>
      <div class="query-line">
        <QueryInput
          label={`Expression of query ${number}`}
          value={draft}
          onInput={setDraft}
          onRun={() => run(draft)}
          insert={insert}
        />
        <button type="button" class="primary" onClick={() => run(draft)}>
          Run
        </button>
      </div>
      <div class="panel-bar">
        <Tabs
          label="Result"
          id={`tab-${panel.id}`}
          panelId={`result-${panel.id}`}
          value={panel.tab}
          options={TABS}
          onChange={(tab) => onChange({ tab })}
        />
        <div class="panel-actions">
          <button type="button" class="plain" onClick={() => setExploring(true)}>
            Metrics
          </button>
          <button type="button" class="plain" disabled={draft.trim() === ""} onClick={() => void format()}>
            Format
          </button>
          {onRemove && (
            <button type="button" class="plain" onClick={onRemove}>
              Remove
            </button>
          )}
        </div>
      </div>
      {slip && asked?.expr !== draft.trim() && (
        <Notice kind="info">
          {slip.says}{" "}
          <button type="button" class="small" onClick={() => setDraft(slip.fixed)}>
            {slip.fix}
          </button>
        </Notice>
      )}
      {formatError !== "" && <Notice kind="error">{formatError}</Notice>}
      <div id={`result-${panel.id}`} class="tab-panel" role="tabpanel" aria-labelledby={tabId(`tab-${panel.id}`, panel.tab)}>
        {asked ? (
          <Result panel={panel} asked={asked} onChange={onChange} onFix={run} />
        ) : (
          <p class="quiet waiting">Write an expression and press Enter.</p>
        )}
      </div>
      {isExploring && (
        <MetricsExplorer
          onClose={() => setExploring(false)}
          onChoose={(name) => {
            setExploring(false);
            if (insert.current) insert.current(name);
            else setDraft(draft + name);
          }}
        />
      )}
    </section>
  );
}

function Result(props: TabProps) {
  switch (props.panel.tab) {
    case "graph":
      return <GraphTab {...props} />;
    case "explain":
      return <ExplainTab {...props} />;
    default:
      return <TableTab {...props} />;
  }
}
