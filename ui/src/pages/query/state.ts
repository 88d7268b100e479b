/**
 * The panels of the query page, and how a link holds them. The parameters are those of Prometheus 3, and those of older ones are
 * read, so that links lead to the same from one to the other.
 */

import { formatDuration, parseDuration } from "../../lib/duration";
import { formatTime, parseTime } from "../../lib/time";

export type Tab = "table" | "graph" | "explain";
export type Display = "lines" | "stacked" | "heatmap";
export type Density = "low" | "medium" | "high";
export type Resolution = { type: "auto"; density: Density } | { type: "fixed" | "custom"; stepMs: number };

export interface Panel {
  /** Of this page alone; not in the link. */
  id: number;
  expr: string;
  tab: Tab;
  /** The end of the range, and the time of the table; null for now. */
  endMs: number | null;
  rangeMs: number;
  resolution: Resolution;
  display: Display;
  /** The axis of values begins at this; null for the least value. */
  yMin: number | null;
  /** Ours: a logarithmic axis. */
  isLog: boolean;
  showExemplars: boolean;
}

const POINTS: Readonly<Record<Density, number>> = { low: 100, medium: 250, high: 750 };
/** The server's limit of steps in one answer. */
export const STEPS_MAX = 11_000;

let nextId = 1;

export function newPanel(expr = ""): Panel {
  return {
    id: nextId++,
    expr,
    tab: "table",
    endMs: null,
    rangeMs: 3_600_000,
    resolution: { type: "auto", density: "medium" },
    display: "lines",
    yMin: null,
    isLog: false,
    showExemplars: false,
  };
}

/** From one point of a graph to the next, milliseconds. */
export function stepMs(panel: Pick<Panel, "resolution" | "rangeMs">): number {
  const { resolution, rangeMs } = panel;
  const step = resolution.type === "auto" ? Math.floor(rangeMs / POINTS[resolution.density]) : resolution.stepMs;
  return Math.max(step, Math.ceil(rangeMs / (STEPS_MAX - 1)), 1);
}

/** The panels of a link; one empty panel where it has none. */
export function decode(search: string): Panel[] {
  const params = new URLSearchParams(search);
  const panels: Panel[] = [];
  // Every panel has an expression: the first number without one ends the list.
  for (let i = 0; params.has(`g${i}.expr`); i++) panels.push(decodePanel((name) => params.get(`g${i}.${name}`)));
  return panels.length > 0 ? panels : [newPanel()];
}

function decodePanel(get: (name: string) => string | null): Panel {
  const panel = newPanel(get("expr") ?? "");
  const tab = get("tab");
  // Prometheus 2 has numbers.
  if (tab === "0" || tab === "graph") panel.tab = "graph";
  else if (tab === "explain") panel.tab = "explain";
  const display = get("display_mode");
  if (display === "lines" || display === "stacked" || display === "heatmap") panel.display = display;
  else if (get("stacked") === "1") panel.display = "stacked";
  panel.showExemplars = get("show_exemplars") === "1";
  panel.isLog = get("log") === "1";
  const yMin = Number.parseFloat(get("y_axis_min") ?? "");
  if (Number.isFinite(yMin)) panel.yMin = yMin;
  panel.rangeMs = parseDuration(get("range_input") ?? "") || panel.rangeMs;
  panel.endMs = parseTime(get("moment_input") ?? "", "utc") ?? parseTime(get("end_input") ?? "", "utc");
  panel.resolution = decodeResolution(get) ?? panel.resolution;
  return panel;
}

function decodeResolution(get: (name: string) => string | null): Resolution | null {
  const type = get("res_type");
  const density = get("res_density");
  const step = Number.parseFloat(get("res_step") ?? "") * 1000;
  if (type === "auto" && (density === "low" || density === "medium" || density === "high")) return { type, density };
  if ((type === "fixed" || type === "custom") && step > 0) return { type, stepMs: step };
  const old = Number.parseFloat(get("step_input") ?? "") * 1000;
  return old > 0 ? { type: "custom", stepMs: old } : null;
}

/** The parameters of a link to these panels. */
export function encode(panels: readonly Panel[]): URLSearchParams {
  const params = new URLSearchParams();
  panels.forEach((panel, i) => {
    const set = (name: string, value: string | number) => params.append(`g${i}.${name}`, String(value));
    set("expr", panel.expr);
    set("tab", panel.tab);
    if (panel.endMs !== null) {
      set("end_input", formatTime(panel.endMs, "utc"));
      set("moment_input", formatTime(panel.endMs, "utc"));
    }
    set("range_input", formatDuration(panel.rangeMs));
    const { resolution } = panel;
    set("res_type", resolution.type);
    if (resolution.type === "auto") set("res_density", resolution.density);
    else set("res_step", resolution.stepMs / 1000);
    set("display_mode", panel.display);
    if (panel.yMin !== null) set("y_axis_min", panel.yMin);
    set("show_exemplars", panel.showExemplars ? 1 : 0);
    if (panel.isLog) set("log", 1);
  });
  return params;
}
