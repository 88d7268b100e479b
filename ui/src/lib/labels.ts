/** Label sets as PromQL writes them. */

export type Labels = Readonly<Record<string, string>>;

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** A text in double quotes, escaped as PromQL reads it. */
export function quoted(text: string): string {
  return `"${text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")}"`;
}

/** The name of a label, in quotes where it needs them. */
export function labelName(name: string): string {
  return LABEL_NAME.test(name) ? name : quoted(name);
}

/** The labels of a series without its metric's name, by name. */
export function pairs(labels: Labels): [string, string][] {
  return Object.entries(labels)
    .filter(([name]) => name !== "__name__")
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** `up{job="a"}`, which is also a selector. */
export function formatSeries(labels: Labels): string {
  const name = labels["__name__"] ?? "";
  const shown = pairs(labels).map(([key, value]) => `${labelName(key)}=${quoted(value)}`);
  if (name !== "" && !METRIC_NAME.test(name)) return `{${[quoted(name), ...shown].join(", ")}}`;
  return shown.length === 0 && name !== "" ? name : `${name}{${shown.join(", ")}}`;
}
