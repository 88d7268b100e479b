/** The query page: panels whose state is in the address. */

import { useEffect, useState } from "preact/hooks";

import { Choice } from "../../components/Choice";
import { Page } from "../../components/Page";
import { search, setSearch } from "../../lib/router";
import { zone, type Zone } from "../../lib/time";
import { PanelView } from "./PanelView";
import "./query.css";
import { decode, encode, newPanel, type Panel } from "./state";

export default function QueryPage() {
  const [panels, setPanels] = useState<readonly Panel[]>(() => decode(search.peek()));

  // The address may change without us: a step back, a link.
  useEffect(() => {
    setPanels((old) => (encode(old).toString() === search.value ? old : merged(old, decode(search.value))));
  }, [search.value]);

  const show = (next: readonly Panel[], isStep = false) => {
    setPanels(next);
    setSearch(encode(next), isStep ? "push" : "replace");
  };
  const change = (id: number, part: Partial<Panel>, isStep = false) =>
    show(
      panels.map((panel) => (panel.id === id ? { ...panel, ...part } : panel)),
      isStep,
    );
  return (
    <Page title="Query" isQuiet>
      {panels.map((panel, i) => (
        <PanelView
          key={panel.id}
          panel={panel}
          number={i + 1}
          onChange={(part, isStep) => change(panel.id, part, isStep)}
          onRemove={panels.length > 1 ? () => show(panels.filter(({ id }) => id !== panel.id)) : null}
        />
      ))}
      <div class="page-foot">
        <button type="button" onClick={() => show([...panels, newPanel()])}>
          Add query
        </button>
        <Choice<Zone>
          label="Time zone"
          value={zone.value}
          options={[
            ["local", "Local time"],
            ["utc", "UTC"],
          ]}
          onChange={(chosen) => (zone.value = chosen)}
        />
      </div>
    </Page>
  );
}

/** The panels of another link in place of those that are shown: each keeps its place, and with it the editor. */
function merged(old: readonly Panel[], next: readonly Panel[]): readonly Panel[] {
  return next.map((panel, i) => ({ ...panel, id: old[i]?.id ?? panel.id }));
}
