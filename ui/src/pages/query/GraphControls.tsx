/** Range, end, resolution and form of a graph. */

import { Choice } from "../../components/Choice";
import { formatDuration, parseDuration } from "../../lib/duration";
import { RangeInput } from "./RangeInput";
import { stepMs, type Density, type Display, type Panel, type Resolution } from "./state";
import { TimeInput } from "./TimeInput";

const DENSITIES: readonly Density[] = ["low", "medium", "high"];
const FIXED = ["10s", "30s", "1m", "5m", "15m", "1h"] as const;

interface Props {
  panel: Panel;
  onChange: (change: Partial<Panel>) => void;
}

export function GraphControls({ panel, onChange }: Props) {
  return (
    <div class="tab-controls">
      <RangeInput label="Range" value={panel.rangeMs} onChange={(rangeMs) => onChange({ rangeMs })} />
      <TimeInput label="End time" value={panel.endMs} rangeMs={panel.rangeMs} onChange={(endMs) => onChange({ endMs })} />
      <ResolutionInput panel={panel} onChange={onChange} />
      <Choice<Display>
        label="Form"
        value={panel.display}
        options={[
          ["lines", "Lines"],
          ["stacked", "Stacked"],
          ["heatmap", "Heat map"],
        ]}
        onChange={(display) => onChange({ display })}
      />
      <label class="check">
        <input type="checkbox" checked={panel.isLog} onChange={(event) => onChange({ isLog: event.currentTarget.checked })} /> Log
        scale
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={panel.yMin === 0}
          onChange={(event) => onChange({ yMin: event.currentTarget.checked ? 0 : null })}
        />{" "}
        From zero
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={panel.showExemplars}
          onChange={(event) => onChange({ showExemplars: event.currentTarget.checked })}
        />{" "}
        Exemplars
      </label>
    </div>
  );
}

/** What the field for a step of its own begins with. */
const CUSTOM = "custom";

function ResolutionInput({ panel, onChange }: Props) {
  const { resolution } = panel;
  const value =
    resolution.type === "auto" ? resolution.density : resolution.type === "fixed" ? formatDuration(resolution.stepMs) : CUSTOM;
  const choose = (chosen: string) => {
    const density = DENSITIES.find((one) => one === chosen);
    const step = parseDuration(chosen);
    let next: Resolution = { type: "custom", stepMs: stepMs(panel) };
    if (density) next = { type: "auto", density };
    else if (step) next = { type: "fixed", stepMs: step };
    onChange({ resolution: next });
  };
  return (
    <span class="resolution">
      <select aria-label="Resolution" value={value} onChange={(event) => choose(event.currentTarget.value)}>
        <optgroup label="By the range">
          {DENSITIES.map((density) => (
            <option key={density} value={density}>
              Res. {density}
            </option>
          ))}
        </optgroup>
        <optgroup label="Step">
          {[...new Set<string>([...FIXED, ...(resolution.type === "fixed" ? [value] : [])])].map((step) => (
            <option key={step} value={step}>
              {step}
            </option>
          ))}
        </optgroup>
        <option value={CUSTOM}>Custom…</option>
      </select>
      {resolution.type === "custom" && (
        <input
          type="text"
          aria-label="Step"
          size={5}
          value={formatDuration(resolution.stepMs)}
          onChange={(event) => {
            const step = parseDuration(event.currentTarget.value);
            if (step) onChange({ resolution: { type: "custom", stepMs: step } });
          }}
        />
      )}
    </span>
  );
}
